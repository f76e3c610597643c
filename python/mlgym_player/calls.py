"""Harness of functions that are called with the solver's state.

Each argument comes as JSON; a dictionary, whose keys JSON would turn into text,
comes as two lists, its keys and its values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import harness


def answer(question: dict[str, Any], functions: list[Callable[..., Any]]) -> dict[str, Any]:
    """Call the function of each lane that has a question."""
    answers = []
    for lane, arguments in zip(question["lanes"], question["arguments"], strict=True):
        clauses, assignments, conflict_count, history, level = arguments
        variable, value = functions[lane](
            clauses, dict(zip(*assignments, strict=True)), dict(zip(*conflict_count, strict=True)), history, level
        )
        answers.append((variable, value))
    return {"answers": answers}


def run() -> None:
    """Serve until the grader is done."""
    harness.serve(answer)
