"""Train what tells secrets in code: `python -m bench.train_secrets ROWS.jsonl.gz [--out FILE]`; needs scikit-learn.

Rows: `text`, `label`, `kind`, `source`, and `spans` of secrets. A string that a span touches is one; strings of rows
without any are none. The threshold lets about one row of code in thirty through and almost no prose, told by
cross-validation over sources.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from bench.train_injection import packed, rows_of
from guards.scan.candidates import BUCKETS, FILE, candidates

CODE, PROSE = ("secret_code", "neg_code"), ("neg_prose", "doc_unlabelled", "neg_token")
STRENGTH = 2.0
FOLDS = 5
IN_CODE, IN_PROSE = 0.036, 0.004


class Trainer:
    """The strings of many rows, and what is learnt of them."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        import numpy
        from scipy.sparse import csr_matrix

        self.numpy, self.rows = numpy, rows
        data, columns, ends, labels, owner = list[float](), list[int](), [0], list[int](), list[int]()
        for number, row in enumerate(rows):
            for start, end, made in candidates(row["text"]):
                inside = any(start < last and first < end for first, last, _ in row.get("spans") or ())
                data += [1 / len(made) ** 0.5] * len(made)
                columns += made
                ends.append(len(data))
                labels.append(int(row["label"] == 1 and inside))
                owner.append(number)
        self.strings = csr_matrix((data, columns, ends), shape=(len(ends) - 1, BUCKETS))
        self.labels, self.owner = numpy.array(labels), numpy.array(owner)

    def fit(self, chosen: Any) -> tuple[Any, float]:
        """Weights and bias from some of the rows."""
        from sklearn.linear_model import LogisticRegression

        taken = self.numpy.flatnonzero(self.numpy.isin(self.owner, chosen))
        learner = LogisticRegression(C=STRENGTH, class_weight="balanced", solver="liblinear", max_iter=500)
        learner.fit(self.strings[taken], self.labels[taken])
        return learner.coef_[0], float(learner.intercept_[0])

    def scores(self, weights: Any, bias: float, right: bool = False) -> Any:
        """Each row's most suspicious string."""
        found = self.numpy.full(len(self.rows), -1e9)
        self.numpy.maximum.at(found, self.owner, self.strings @ weights + bias)
        return found


def threshold(trainer: Trainer) -> float:
    """What a row without a secret is rarely above, when it was not learnt from."""
    from sklearn.model_selection import GroupKFold

    numpy, rows = trainer.numpy, trainer.rows
    sources = [row["source"].partition(":")[0] for row in rows]
    scores = numpy.zeros(len(rows))
    for learnt, left in GroupKFold(FOLDS).split(scores, scores, sources):
        scores[left] = trainer.scores(*trainer.fit(learnt))[left]
    kinds = numpy.array([row["kind"] for row in rows])
    limit = max(
        float(numpy.quantile(scores[kinds == "neg_code"], 1 - IN_CODE)),
        float(numpy.quantile(scores[numpy.isin(kinds, PROSE[:2])], 1 - IN_PROSE)),
    )
    for kind in (*CODE, *PROSE):
        print(f"cross-validated: {kind} {(scores[kinds == kind] > limit).mean():.3f}")
    for share in (0.03, 0.05):
        print(share, (scores[kinds == "secret_code"] > numpy.quantile(scores[kinds == "neg_code"], 1 - share)).mean())
    return limit


def main(arguments: list[str]) -> int:
    """Train and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.train_secrets", description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--out", type=Path, default=FILE)
    asked = parser.parse_args(arguments)
    rows = [row for row in rows_of(asked.rows) if row["kind"] in (*CODE, *PROSE)]
    trainer = Trainer(rows)
    limit = threshold(trainer)
    asked.out.write_bytes(packed(*trainer.fit(range(len(rows))), limit))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
