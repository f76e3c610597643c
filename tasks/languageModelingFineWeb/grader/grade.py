"""Grades language models by their loss on hidden text."""

from __future__ import annotations

from mlgym_grader import Result, Session
from mlgym_grader.language import score


def grade(session: Session) -> Result:
    """Ask the model for the log-probabilities of hidden tokens, and audit them."""
    return score(session)
