"""Scores predicted prices against the true ones, joined by Id."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from mlgym_grader import Result, Session, table

FILE = "submission.csv"
COLUMNS = ("Id", "SalePrice")
LARGEST = 100_000_000  # dollars. A linear model may predict less than nothing, as the published baseline may
RESAMPLES = 500
EXACT = 0.5  # dollars: a prediction as near as this has met the price itself

Pair = tuple[float, float]
"""A true price and the predicted one."""


def scores(pairs: Sequence[Pair]) -> dict[str, float] | None:
    """Return r2 and rmse, or None where all true prices are the same."""
    mean = math.fsum(true for true, _ in pairs) / len(pairs)
    spread = math.fsum((true - mean) ** 2 for true, _ in pairs)
    if spread == 0:
        return None
    missed = math.fsum((true - predicted) ** 2 for true, predicted in pairs)
    return {"r2": 1 - missed / spread, "rmse": math.sqrt(missed / len(pairs))}


def standard_errors(pairs: Sequence[Pair]) -> dict[str, float]:
    """Return how far the scores vary when the rows are drawn again with replacement (bootstrap)."""
    generator = random.Random(0)  # nothing hidden depends on it, and equal submissions get equal details
    drawn = [scores(generator.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES)]
    errors = {}
    for name in ("r2", "rmse"):
        values = [d[name] for d in drawn if d is not None]
        mean = math.fsum(values) / len(values)
        errors[f"{name}_standard_error"] = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))
    return errors


def grade(session: Session) -> Result:
    """Return r2 and rmse, their standard errors, and what remains of r2 without the prices that were met exactly."""
    validation, test = (
        {key: float(price) for key, price in table.truth(session.data / split / "labels.csv", COLUMNS).items()}
        for split in ("validation_labels", "test_labels")
    )
    scored, expected, optional = table.asked(session, validation, test)
    cells = table.by_id(session.submission / FILE, COLUMNS, expected, optional)
    predicted = {key: table.decimal(cell, -LARGEST, LARGEST, f"{FILE}, Id {key}") for key, cell in cells.items()}

    # Sorted, so that the order of the submitted rows changes nothing, not even the last digit.
    pairs = [(scored[key], predicted[key]) for key in sorted(scored)]
    result = scores(pairs)
    if result is None:
        raise ValueError("all true prices are the same")
    details = {"rows": len(pairs), **standard_errors(pairs)}
    missed = [pair for pair in pairs if abs(pair[0] - pair[1]) > EXACT]
    details["exact_rows"] = len(pairs) - len(missed)
    if missed and (rest := scores(missed)) is not None:
        details["r2_without_exact"] = rest["r2"]
    return Result(result, details)
