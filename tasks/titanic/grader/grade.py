"""Scores the predicted outcomes against the true ones, joined by PassengerId."""

from __future__ import annotations

import math

from mlgym_grader import Result, Session, table

FILE = "submission.csv"
COLUMNS = ("PassengerId", "Survived")


def grade(session: Session) -> Result:
    """Return the share of right predictions, and the standard error of a binomial count."""
    # The true outcomes. The agent's sandbox never has those of the test rows.
    validation = table.truth(session.data / "validation_labels" / "labels.csv", COLUMNS)
    test = table.truth(session.data / "test_labels" / "labels.csv", COLUMNS)

    # Which rows count depends on the mode and on whether this is a validate or a submit.
    scored, expected, optional = table.asked(session, validation, test)

    # Each expected id exactly once, each value one of two characters; anything else raises Invalid.
    cells = table.by_id(session.submission / FILE, COLUMNS, expected, optional)
    predicted = {key: table.integer(cell, 0, 1, f"{FILE}, PassengerId {key}") for key, cell in cells.items()}

    right = sum(predicted[key] == int(true) for key, true in scored.items())
    accuracy = right / len(scored)
    error = math.sqrt(accuracy * (1 - accuracy) / len(scored))
    return Result({"accuracy": accuracy}, {"standard_error": error, "rows": len(scored)})
