"""Predicted class labels: read strictly, joined by id, scored by accuracy.

The true labels are in the splits validation_labels and test_labels, each a file
labels.csv with the columns id and label. One file of predictions covers the ids of
both, which lie mixed in the agent's unlabelled split. A validation scores the
validation rows and a submit the test rows; as published, both score the test rows
and nothing else is asked for.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from mlgym_grader import table
from mlgym_grader.session import Result, Session

COLUMNS = ("id", "label")
FILE = "submission.csv"


def truth(path: Path) -> dict[str, int]:
    """Return the true label by id. The file is ours: a mistake in it is no agent's."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        if (header := next(reader, None)) != list(COLUMNS):
            raise ValueError(f"{path} begins with {header}, want {COLUMNS}")
        rows = [(key, int(label)) for key, label in reader]
    labels = dict(rows)
    if not labels or len(labels) != len(rows):
        raise ValueError(f"{path} has {len(rows)} rows and {len(labels)} ids, want as many, and some")
    return labels


def predictions(path: Path, classes: int, expected: Mapping[str, int], optional: Mapping[str, int]) -> dict[str, int]:
    """Return the predicted label by id: an integer from 0 to classes-1 for every expected id."""
    cells = table.by_id(path, COLUMNS, expected, optional)
    return {key: table.integer(cell, 0, classes - 1, f"{path.name}, id {key}") for key, cell in cells.items()}


def accuracy(predicted: Mapping[str, int], true: Mapping[str, int]) -> tuple[float, float]:
    """Return the share of the true labels that were predicted, and its standard error.

    The error is that of a binomial count: sqrt(p (1 - p) / n).
    """
    share = sum(predicted[key] == label for key, label in true.items()) / len(true)
    return share, math.sqrt(share * (1 - share) / len(true))


def grade(session: Session, classes: int) -> Result:
    """Score a file of predicted labels by accuracy."""
    validation = truth(session.data / "validation_labels" / "labels.csv")
    test = truth(session.data / "test_labels" / "labels.csv")
    if session.mode == "published":
        scored, expected, optional = test, test, validation
    else:
        scored = validation if session.kind == "validate" else test
        expected, optional = {**validation, **test}, {}
    predicted = predictions(session.submission / FILE, classes, expected, optional)
    share, error = accuracy(predicted, scored)
    return Result({"accuracy": share}, {"standard_error": error, "rows": len(scored)})
