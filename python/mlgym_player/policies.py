"""Harness of policies: a checkpoint is loaded, then batches of observations are answered by actions.

``policy.py`` defines ``load(path)``, which returns a policy of any kind, and
``act(policy, observations, seed)``, which returns one action for each row. A
message is a batch: every row is another environment, in an order of its own.

Questions; observations are in base64, of the dtype "float32" (little-endian) or
"bits" (eight to the byte, the first one highest):

load   file, checkpoint, and what a question "act" has: a first batch to try
       → loaded: true
act    observations, shape, dtype, seed
       → actions: a list of numbers, one for each row
"""

from __future__ import annotations

import base64
import math
import os
import sys
from pathlib import Path
from typing import Any

import harness

# Batches are small: a second thread of numpy's waits for work more than it works,
# which on a busy machine costs ten times what it saves.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np


class Program:
    """The submitted program with one checkpoint."""

    def __init__(self, question: dict[str, Any]) -> None:
        self._act = harness.load(question["file"], "act", lanes=1, seconds=0)[0]
        load = getattr(sys.modules[Path(question["file"]).stem], "load", None)
        if not callable(load):
            raise NameError(f"{question['file']} defines no function load")
        self._policy = load(question["checkpoint"])

    def actions(self, question: dict[str, Any]) -> list[Any]:
        """Return the actions for a batch, as JSON can carry them."""
        batch = observations(question)
        return plain(self._act(self._policy, batch, question["seed"]), len(batch))


def observations(question: dict[str, Any]) -> np.ndarray:
    """Return a batch of observations as float32, of the shape [rows, ...]."""
    data = base64.b64decode(question["observations"])
    shape = question["shape"]
    if question["dtype"] == "bits":
        bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=math.prod(shape))
        return bits.reshape(shape).astype(np.float32)
    return np.frombuffer(data, dtype="<f4").reshape(shape).astype(np.float32)


def plain(actions: Any, rows: int) -> list[Any]:
    """Return actions as a list: of [rows] or [rows, 1]; None for what is not finite, which JSON lacks."""
    array = np.asarray(actions)
    if array.shape == (rows, 1):
        array = array[:, 0]
    if array.ndim == 0:
        raise TypeError(f"act has to return an array of actions, not {type(actions).__name__}")
    values = array.tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        values = np.where(np.isfinite(array), array.astype(object), None).tolist()
    return values


def load(question: dict[str, Any]) -> tuple[Program, dict[str, Any]]:
    """Load the program and a checkpoint, and try them on a first batch."""
    program = Program(question)
    actions = program.actions(question)
    if len(actions) != question["shape"][0]:
        raise ValueError(f"act has to return one action for each row: {question['shape'][0]}, not {len(actions)}")
    return program, {"loaded": True}


def answer(question: dict[str, Any], program: Program) -> dict[str, Any]:
    """Answer one batch."""
    return {"actions": program.actions(question)}


def run() -> None:
    """Serve until the grader is done."""
    harness.serve(answer, load)
