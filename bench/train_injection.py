"""Train the input scanner's model: `python -m bench.train_injection ROWS.jsonl.gz [--out FILE]`; needs scikit-learn.

Rows: `text`, `label` (1: gives orders to a model), `kind`, `source`, `cluster`. Not taken: injections that announce
nothing (kind `indirect_bare`): they teach the carrier, not the attack; and texts in a disguise, which the views undo.
Of a text that is an injection as a whole only the window counts in which it shows most; which one that is, is learnt
in turns. The threshold lets one benign text in two hundred through, told by cross-validation over clusters.
"""

import argparse
import gzip
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from guards.scan.model import BUCKETS, FILE, STRIDE, WIDTH, pairs, parts, tokens
from guards.scan.views import plain

LEFT_OUT = ("indirect_bare", "obfuscated", "benign_obfuscated")
WORDS_READ = 1_200
TURNS = 3
FOLDS = 5
STRENGTH = 10.0
FALSE_ALARMS = 0.006


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def windows(text: str) -> list[Counter[int]]:
    """The features of each window of a text."""
    words = [one[0] for one in tokens(plain(text).text)][:WORDS_READ]
    each = [[*parts(word), *made] for word, made in zip(words, pairs(words), strict=True)]
    starts = range(0, max(1, len(words) - WIDTH + STRIDE), STRIDE)
    return [Counter(one for word in each[start : start + WIDTH] for one in word) for start in starts]


class Trainer:
    """Windows of many texts, and what is learnt of them."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        import numpy
        from scipy.sparse import csr_matrix

        self.numpy = numpy
        found = [windows(row["text"]) for row in rows]
        self.labels = numpy.array([row["label"] for row in rows])
        self.owner = numpy.array([number for number, each in enumerate(found) for _ in each])
        data, columns, ends = list[float](), list[int](), [0]
        for window in (window for each in found for window in each):
            norm = (sum(window.values()) + 1) ** 0.5
            data += [count / norm for count in window.values()]
            columns += window.keys()
            ends.append(len(data))
        self.windows = csr_matrix((data, columns, ends), shape=(len(ends) - 1, BUCKETS))

    def fit(self, chosen: Any) -> tuple[Any, float]:
        """Weights and bias from some of the texts."""
        from sklearn.linear_model import LogisticRegression

        inside = self.numpy.flatnonzero(self.numpy.isin(self.owner, chosen))
        bad = inside[self.labels[self.owner[inside]] == 1]
        good = inside[self.labels[self.owner[inside]] == 0]
        taken = inside
        for _ in range(TURNS):
            learner = LogisticRegression(C=STRENGTH, class_weight="balanced", solver="liblinear", max_iter=300)
            learner.fit(self.windows[taken], self.labels[self.owner[taken]])
            worst: dict[int, tuple[float, int]] = {}
            for window, score in zip(bad, learner.decision_function(self.windows[bad]), strict=True):
                worst[self.owner[window]] = max(worst.get(self.owner[window], (-1e9, 0)), (score, window))
            taken = self.numpy.concatenate([good, [window for _, window in worst.values()]])
        return learner.coef_[0], float(learner.intercept_[0])

    def scores(self, weights: Any, bias: float) -> Any:
        """Each text's worst window."""
        found = self.numpy.full(len(self.labels), -1e9)
        self.numpy.maximum.at(found, self.owner, self.windows @ weights + bias)
        return found


def threshold(trainer: Trainer, clusters: list[str]) -> float:
    """What one benign text in so many is above, when it was not learnt from."""
    from sklearn.model_selection import GroupKFold

    scores = trainer.numpy.zeros(len(clusters))
    for learnt, left in GroupKFold(FOLDS).split(scores, trainer.labels, clusters):
        scores[left] = trainer.scores(*trainer.fit(learnt))[left]
    good = scores[trainer.labels == 0]
    found = float(trainer.numpy.quantile(good, 1 - FALSE_ALARMS))
    print(f"cross-validated: {(scores[trainer.labels == 1] > found).mean():.3f} found at {FALSE_ALARMS} false alarms")
    return found


def packed(weights: Any, bias: float, limit: float) -> bytes:
    """The file: a header and one byte a weight."""
    scale = float(abs(weights).max()) / 127
    table = bytes(round(float(weight) / scale) & 0xFF for weight in weights)
    return f"{bias:.5f} {scale:.8f} {limit:.4f}\n".encode() + table


def main(arguments: list[str]) -> int:
    """Train and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.train_injection", description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--out", type=Path, default=FILE)
    asked = parser.parse_args(arguments)
    rows = [row for row in rows_of(asked.rows) if row["kind"] not in LEFT_OUT]
    trainer = Trainer(rows)
    limit = threshold(trainer, [row["cluster"] for row in rows])
    asked.out.write_bytes(packed(*trainer.fit(range(len(rows))), limit))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
