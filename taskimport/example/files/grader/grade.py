"""Scores predictions of a curve. This file never is where the agent is."""

from __future__ import annotations

import math
from pathlib import Path

from mlgym_grader import Result, Session, table

HERE = Path(__file__).parent
COLUMNS = ("id", "y")


def grade(session: Session) -> Result:
    """Return the root mean square error of the rows that this grading scores."""
    validation = table.truth(HERE / "validation.csv", COLUMNS)
    test = table.truth(HERE / "test.csv", COLUMNS)

    # Which rows count depends on whether this is a validate or a submit; all have to be predicted.
    scored, expected, optional = table.asked(session, validation, test)

    # A submission is right or refused: each id once, each number in one spelling. What is wrong raises Invalid, and
    # the agent reads its text. Any other exception would be a fault of this grader, and end the run.
    cells = table.by_id(session.submission / "submission.csv", COLUMNS, expected, optional)
    predicted = {key: table.decimal(cell, -1000, 1000, f"submission.csv, id {key}") for key, cell in cells.items()}

    errors = [(predicted[key] - float(true)) ** 2 for key, true in scored.items()]
    return Result({"RMSE": math.sqrt(sum(errors) / len(errors))}, {"rows": len(errors)})
