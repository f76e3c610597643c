"""Grades strategies for the iterated prisoner's dilemma."""

from __future__ import annotations

import engine
from mlgym_grader import Result, Session
from mlgym_grader.repeated import play


def grade(session: Session) -> Result:
    """Play the games of this grading."""
    return play(session, check=engine.check, column=engine.column, payoff=engine.payoff)
