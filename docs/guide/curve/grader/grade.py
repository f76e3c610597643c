"""Grades predictions of a curve: validate scores the first half of the inputs, submit the second."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from mlgym_grader import Invalid, Result, Session


def grade(session: Session) -> Result:
    """Return the root mean square error."""
    truth = _column(Path(__file__).parent / "truth.csv")
    try:
        predicted = _column(session.submission / "predictions.csv")
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise Invalid("predictions.csv needs a header y and one number in each line below it") from error
    if len(predicted) != len(truth):
        raise Invalid(f"predictions.csv has {len(predicted)} predictions, want {len(truth)}")
    if not all(math.isfinite(value) for value in predicted):
        raise Invalid("a prediction is not a finite number")
    half = len(truth) // 2
    part = slice(0, half) if session.kind == "validate" else slice(half, None)
    errors = [(p - t) ** 2 for p, t in zip(predicted[part], truth[part], strict=True)]
    return Result(scores={"RMSE": math.sqrt(sum(errors) / len(errors))})


def _column(path: Path) -> list[float]:
    with path.open(encoding="utf-8", newline="") as file:
        return [float(row["y"]) for row in csv.DictReader(file)]
