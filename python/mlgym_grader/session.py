"""One grading, seen from the grader: what to grade, and the players to ask."""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlgym_grader.frames import Frames
from mlgym_grader.stream import Stream

PROTOCOL = 1


class Invalid(Exception):
    """The submission cannot be scored; the text tells the agent why.

    The text must not tell anything that is hidden from the agent.
    """


@dataclass(frozen=True)
class Result:
    """Scores by metric, and further numbers for people."""

    scores: Mapping[str, float]
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Usage:
    """Processor time of a player's whole sandbox, in seconds.

    metered says that it was read from outside the sandbox. Where that is not
    possible, cpu_seconds is the time that was waited for the player's answers.
    """

    cpu_seconds: float
    metered: bool


class Session:
    """The grader's side of the control channel."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        begin, _ = self._receive()
        if begin.get("op") != "begin" or begin.get("protocol") != PROTOCOL:
            raise RuntimeError(f"want the beginning of protocol {PROTOCOL}, got {begin}")
        self.task: str = begin["task"]
        self.kind: str = begin["kind"]
        self.mode: str = begin["mode"]
        self.variant: str = begin["variant"]
        self.parameters: dict[str, Any] = begin["parameters"]
        self.files: list[str] = begin["files"]
        self.submission = Path(begin["submission"])
        self.starter = self.submission.parent / "starter"
        """The starter's files as they were given out, where the submission is data."""
        self.data = Path(begin["data"])
        """The folder with a folder for each split of the task's data sets, hidden ones included."""
        self._seed = bytes.fromhex(begin["seed"])

    def stream(self, label: str) -> Stream:
        """Return the random numbers of this grading that belong to the label."""
        return Stream(self._seed, label)

    def start(self, name: str, harness: str, program: str = "submission") -> Player:
        """Start a player in a fresh sandbox.

        harness is a module of mlgym_player. program is "submission", or the name
        of a folder beside grade.py whose files are used in its place.
        """
        self.request({"op": "start", "player": name, "harness": harness, "program": program})
        return Player(self, name, program == "submission")

    def request(self, header: Mapping[str, Any], body: bytes | None = None) -> tuple[dict[str, Any], bytes]:
        """Send a request to the host and return its reply."""
        payload = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
        self._frames.write(payload if body is None else payload + b"\n" + body)
        return self._receive()

    def _receive(self) -> tuple[dict[str, Any], bytes]:
        header, _, body = self._frames.read().partition(b"\n")
        return json.loads(header), body

    def finish(self, result: Result | Invalid) -> None:
        """Send the outcome of the grading."""
        if isinstance(result, Invalid):
            header: dict[str, Any] = {"op": "invalid", "message": str(result)}
        else:
            header = {"op": "score", "scores": dict(result.scores), "details": dict(result.details)}
        self._frames.write(json.dumps(header, allow_nan=False).encode())


class Player:
    """A program in its own sandbox that answers questions."""

    def __init__(self, session: Session, name: str, is_submission: bool) -> None:
        self._session = session
        self._name = name
        self._is_submission = is_submission

    def load(self, file: str, function: str, lanes: int = 1) -> int:
        """Load the program and return in how many lanes it was loaded.

        The program's own random numbers (Python's module random) begin with a
        seed of this grading, which tells nothing about any other stream.
        """
        seed = self._session.stream(f"own numbers of {self._name}").below(1 << 53)
        question = {"op": "load", "file": file, "function": function, "lanes": lanes, "seconds": 2.0, "seed": seed}
        answer = self._ask(question, clock="start")
        loaded = answer.get("lanes")
        if type(loaded) is not int or not 1 <= loaded <= lanes:
            self.fail("did not say in how many lanes it was loaded")
        return loaded

    def prepare(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Send a question whose answer may take as long as loading a program does.

        It is for harnesses that load something else than a function; what the
        program says about its failure is told to the agent, so the question must
        tell nothing hidden.
        """
        return self._ask(question, clock="start")

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Send one question and return the answer, a JSON object.

        Whatever else the program does raises Invalid. Nothing in the answer may
        be trusted before its type has been looked at; the values are those of
        JSON, so that a type is exactly what it seems.
        """
        return self._ask(question, clock="answer")

    def _ask(self, question: Mapping[str, Any], clock: str) -> dict[str, Any]:
        body = json.dumps(question, separators=(",", ":"), allow_nan=False).encode()
        reply, answer = self._session.request({"op": "ask", "player": self._name, "clock": clock}, body)
        if not reply["ok"]:
            self.fail(str(reply["message"]))
        try:
            value = json.loads(answer, parse_constant=_refuse)
        except (ValueError, RecursionError):
            self.fail("gave an answer that is not JSON")
        if type(value) is not dict:
            self.fail("gave an answer that is not a JSON object")
        if "error" in value:
            self.fail(self._explain(value["error"], loading=clock == "start"))
        return value

    def _explain(self, error: object, loading: bool) -> str:
        """Say in words what the harness reports.

        Text of the program's own choosing is passed on only from before it has
        seen anything hidden: it could carry that out.
        """
        if type(error) is not dict:
            return "reported a failure in an unknown form"
        kind = error.get("type")
        if not isinstance(kind, str) or not isinstance(getattr(builtins, kind, None), type):
            kind = "an exception of its own"
        where = ""
        line, file = error.get("line"), error.get("file")
        if type(line) is int and 0 < line < 100_000 and file in self._session.files:
            where = f" at line {line} of {file}"
        if not loading:
            return f"raised {kind}{where}"
        message = error.get("message")
        told = f": {message[:400]}" if isinstance(message, str) and message else ""
        return f"could not be loaded: {kind}{where}{told}"

    def fail(self, message: str) -> None:
        """Raise what it means that this program did what the message says."""
        if self._is_submission:
            raise Invalid(f"The submitted program {message}.")
        raise RuntimeError(f"player {self._name}, which is the grader's own, {message}")

    def usage(self) -> Usage:
        """Return the processor time that the player's sandbox has used so far."""
        reply, _ = self._session.request({"op": "usage", "player": self._name})
        return Usage(float(reply["cpu_seconds"]), bool(reply["metered"]))

    def stop(self) -> None:
        """End the player and its sandbox."""
        self._session.request({"op": "stop", "player": self._name})


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def integers(value: object, count: int, low: int, high: int) -> Sequence[int] | None:
    """Return value where it is a list of count JSON integers within low..high, else None."""
    if type(value) is not list or len(value) != count:
        return None
    for item in value:
        if type(item) is not int or not low <= item <= high:
            return None
    return value
