"""The notebook runs from top to bottom and is kept without outputs."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
FILE = ROOT / "notebooks" / "tour.ipynb"


@pytest.fixture
def notebook() -> Any:
    return nbformat.read(FILE, as_version=4)


def printed(notebook: Any) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(output.get("text", "") or str(output.get("data", "")) for output in outputs)


def test_the_notebook_is_kept_without_outputs(notebook: Any) -> None:
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


async def test_the_notebook_runs(notebook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(FILE.parent)}})
    await client.async_execute()
    text = printed(notebook)
    assert "bare: still hanging" in text
    assert "partial | trains" in text
    assert "works-committee-minutes.pdf" in text
    assert "graph is not safe to run" in text
