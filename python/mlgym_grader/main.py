"""Starts a grader: python3 -I main.py FOLDER, where FOLDER holds grade.py."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Run the grader of the folder that the command line names."""
    folder = Path(sys.argv[1])
    sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(folder)]

    from mlgym_grader.frames import Frames
    from mlgym_grader.session import Invalid, Result, Session

    session = Session(Frames())
    import grade  # the task's

    try:
        outcome: Result | Invalid = grade.grade(session)
    except Invalid as invalid:
        outcome = invalid
    session.finish(outcome)


if __name__ == "__main__":
    main()
