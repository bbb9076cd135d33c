"""Renew `answer.schema.json`: the JSON schema of the answer, made from `state.answer.Answer`."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILE = Path(__file__).with_name("answer.schema.json")


def schema() -> str:
    """The schema as text."""
    from state.answer import Answer

    return json.dumps(Answer.model_json_schema(mode="serialization"), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    FILE.write_text(schema(), encoding="utf-8")
