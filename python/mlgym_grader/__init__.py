"""The library of the graders: what a task's grade.py may use.

A grader defines one function, ``grade(session) -> Result``. It reads what it is
to grade from the session, starts players where the submission is a program, and
returns numbers. What the submission does wrong is raised as ``Invalid``; the
library raises it itself where a player crashes, is late or breaks its contract.
Any other exception is a fault of the grader and never of the submission.
"""

from mlgym_grader.session import Invalid, Player, Result, Session, Usage
from mlgym_grader.stream import Stream

__all__ = ["Invalid", "Player", "Result", "Session", "Stream", "Usage"]
