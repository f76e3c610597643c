"""Grades policies for the continuous mountain car."""

from __future__ import annotations

from environment import MountainCars
from mlgym_grader import Result, Session
from mlgym_grader.policies import Continuous
from mlgym_grader.policies import grade as grade_policy

LARGEST = 1000.0  # of an action: its cost, and no cost, is then a number that a mean can take


def grade(session: Session) -> Result:
    """Score the checkpoints."""
    return grade_policy(session, MountainCars, Continuous(LARGEST))
