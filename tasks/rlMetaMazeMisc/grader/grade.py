"""Grades policies for MetaMaze."""

from __future__ import annotations

from environment import MOVES, MetaMazes
from mlgym_grader import Result, Session
from mlgym_grader.policies import Discrete
from mlgym_grader.policies import grade as grade_policy


def grade(session: Session) -> Result:
    """Score the checkpoints."""
    return grade_policy(session, MetaMazes, Discrete(len(MOVES)))
