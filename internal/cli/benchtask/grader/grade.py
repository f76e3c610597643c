"""Grades nothing."""

from __future__ import annotations

from mlgym_grader import Result, Session


def grade(session: Session) -> Result:
    """Give the same score to everything, at once."""
    return Result(scores={"Score": 0.0})
