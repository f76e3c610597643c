"""Predicted class labels: read strictly, joined by id, scored by accuracy.

The true labels are in the splits validation_labels and test_labels, each a file
labels.csv with the columns id and label. One file of predictions covers the ids of
both, which lie mixed in the agent's unlabelled split. A validation scores the
validation rows and a submit the test rows; as published, both score the test rows
and nothing else is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path

from mlgym_grader import table
from mlgym_grader.session import Result, Session

COLUMNS = ("id", "label")
FILE = "submission.csv"


def truth(path: Path) -> dict[str, int]:
    """Return the true label by id."""
    return {key: int(label) for key, label in table.truth(path, COLUMNS).items()}


def predictions(path: Path, classes: int, expected: Collection[str], optional: Collection[str]) -> dict[str, int]:
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
    scored, expected, optional = table.asked(session, validation, test)
    predicted = predictions(session.submission / FILE, classes, expected, optional)
    share, error = accuracy(predicted, scored)
    return Result({"accuracy": share}, {"standard_error": error, "rows": len(scored)})
