"""Harness of language models: a module of torch that turns token ids into logits.

``model.py`` defines ``build(config)``, which returns the module; its weights are
read from safetensors, where there are any. It is run in evaluation mode, on a GPU
where there is one (under autocast to bfloat16, as the original benchmark does) and
else in float32. ``forward(tokens[B, T])`` returns logits ``[B, T, V]``; every call
has the same B and T.

Questions, after the one that loads the program; numbers are little-endian, in
base64:

claims         tokens: uint16 [B, T + 1]
               → log_probabilities: float32 [B, T], of each token's successor
distributions  tokens: uint16 [B, T], positions: one for each row
               → log_probabilities: float32 [B, vocabulary + 1], of every id behind
                 the position of the row; last that of all ids from vocabulary on

The harness lives beside the program, so nothing here is protection: the grader
(``mlgym_grader.language``) believes none of the numbers.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
from safetensors.torch import load_file

FLOOR = -10000.0  # in place of minus infinity
WRAPPERS = ("_orig_mod.", "module.")  # what torch.compile and DDP put before names


class Model:
    """The submitted model and what it is asked for."""

    def __init__(self, question: dict[str, Any]) -> None:
        self._vocabulary: int = question["vocabulary"]
        self._shape = (question["rows"], question["window"])
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(0)  # a model without weights is the same in every process
        build = harness.load(question["file"], question["function"], lanes=1, seconds=0)[0]
        config = json.loads(Path(question["config"]).read_text(encoding="utf-8"))
        if type(config) is not dict:
            raise TypeError(f"{question['config']} has to hold a JSON object")
        self._module = build(config)
        if not isinstance(self._module, torch.nn.Module):
            raise TypeError(f"build has to return a torch.nn.Module, not {type(self._module).__name__}")
        if (weights := Path(question["weights"])).exists():
            self._module.load_state_dict({_bare(name): tensor for name, tensor in load_file(weights).items()})
        self._module.to(self._device).eval()
        self.parameters = sum(parameter.numel() for parameter in self._module.parameters())
        self._logits(np.zeros(self._shape, dtype="<u2"))  # what fails with any tokens fails now

    def _logits(self, tokens: np.ndarray) -> torch.Tensor:
        """Return the logits of the ids of a batch."""
        ids = torch.from_numpy(tokens.astype(np.int64)).to(self._device)
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=self._device.type == "cuda"):
            logits = self._module(ids)
        if not isinstance(logits, torch.Tensor):
            raise TypeError(f"forward has to return a tensor of logits, not {type(logits).__name__}")
        if logits.dim() != 3 or logits.shape[:2] != ids.shape or logits.shape[2] < self._vocabulary:
            rows, window = self._shape
            raise ValueError(
                f"for tokens of the shape [{rows}, {window}] forward has to return logits of the shape "
                f"[{rows}, {window}, V] with V >= {self._vocabulary}, not {list(logits.shape)}"
            )
        return logits

    def _tokens(self, question: dict[str, Any], width: int) -> np.ndarray:
        data = base64.b64decode(question["tokens"])
        return np.frombuffer(data, dtype="<u2").reshape(self._shape[0], width)

    def claims(self, question: dict[str, Any]) -> torch.Tensor:
        """Return the log-probability of each successor."""
        tokens = self._tokens(question, self._shape[1] + 1)
        logits = self._logits(tokens[:, :-1])
        successors = torch.from_numpy(tokens[:, 1:].astype(np.int64)).to(logits.device)
        # Row by row: in float32 the logits of all rows would take gigabytes.
        return torch.stack(
            [
                torch.log_softmax(row.float(), -1).gather(-1, successor[:, None])[:, 0]
                for row, successor in zip(logits, successors, strict=True)
            ]
        )

    def distributions(self, question: dict[str, Any]) -> torch.Tensor:
        """Return the log-probability of every id at one position of each row."""
        logits = self._logits(self._tokens(question, self._shape[1]))
        positions = torch.tensor(question["positions"], device=logits.device)
        chosen = logits[torch.arange(len(positions), device=logits.device), positions]
        logs = torch.log_softmax(chosen.float(), -1)
        padding = torch.logsumexp(logs[:, self._vocabulary :], -1, keepdim=True)
        return torch.cat([logs[:, : self._vocabulary], padding], -1)


def _bare(name: str) -> str:
    """Return the name of a weight without what wraps the model in training."""
    while (wrapper := next((w for w in WRAPPERS if name.startswith(w)), None)) is not None:
        name = name.removeprefix(wrapper)
    return name


def load(question: dict[str, Any]) -> tuple[Model, dict[str, Any]]:
    """Load the submitted model."""
    model = Model(question)
    print(f"loaded {model.parameters} parameters", file=sys.stderr)
    return model, {"parameters": model.parameters}


def answer(question: dict[str, Any], model: Model) -> dict[str, Any]:
    """Answer one question about the model."""
    logs = model.claims(question) if question["op"] == "claims" else model.distributions(question)
    data = logs.clamp(min=FLOOR).cpu().numpy().astype("<f4").tobytes()
    return {"log_probabilities": base64.b64encode(data).decode()}


def run() -> None:
    """Serve until the grader is done."""
    harness.serve(answer, load)
