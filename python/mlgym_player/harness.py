"""The harness under which a submitted program runs: python3 -I harness.py NAME.

It lives in the same process as the program, so nothing here is protection. It
saves the program from having to know the protocol, and honest programs from
slips: arguments are copies, and what is printed goes to the log.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO


class Channel:
    """Questions and answers on descriptor 3: a length of four bytes, then JSON."""

    def __init__(self) -> None:
        self._reader: BinaryIO = open(3, "rb", buffering=1 << 16, closefd=False)  # noqa: SIM115

    def read(self) -> dict[str, Any] | None:
        """Return the next question, or None where there are no more."""
        head = self._reader.read(4)
        if len(head) < 4:
            return None
        return json.loads(self._reader.read(int.from_bytes(head, "big")))

    def write(self, answer: dict[str, Any]) -> None:
        """Send an answer."""
        payload = json.dumps(answer, separators=(",", ":")).encode()
        data = memoryview(len(payload).to_bytes(4, "big") + payload)
        while data:
            data = data[os.write(3, data) :]


def load(file: str, function: str, lanes: int, seconds: float) -> list[Callable[..., Any]]:
    """Load the program once per lane, and fewer times where that takes long.

    Each lane is a module of its own, with its own global variables.
    """
    path = Path.cwd() / file
    code = compile(path.read_bytes(), str(path), "exec")
    functions: list[Callable[..., Any]] = []
    began = time.monotonic()
    while len(functions) < lanes and (not functions or time.monotonic() - began < seconds):
        module = types.ModuleType(path.stem)
        module.__file__ = str(path)
        sys.modules[path.stem] = module
        exec(code, module.__dict__)
        found = getattr(module, function, None)
        if not callable(found):
            raise NameError(f"{file} defines no function {function}")
        functions.append(found)
    return functions


def describe(error: BaseException) -> dict[str, Any]:
    """Say what was raised and in which line of the program."""
    described: dict[str, Any] = {"type": type(error).__name__, "message": str(error)[:400]}
    here = str(Path.cwd()) + os.sep
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        described.update(file=error.filename.removeprefix(here), line=error.lineno, message=error.msg)
        return described
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(here) and frame.lineno:
            described.update(file=frame.filename.removeprefix(here), line=frame.lineno)
    return described


def load_functions(question: dict[str, Any]) -> tuple[list[Callable[..., Any]], dict[str, Any]]:
    """Load the program's function in lanes; return the functions and what to answer."""
    random.seed(question["seed"])
    functions = load(question["file"], question["function"], question["lanes"], question["seconds"])
    return functions, {"lanes": len(functions)}


def serve(
    answer: Callable[[dict[str, Any], Any], dict[str, Any]],
    load: Callable[[dict[str, Any]], tuple[Any, dict[str, Any]]] = load_functions,
) -> None:
    """Answer questions until there are no more or the program fails.

    load is called with each question whose op is "load"; what it returns first is
    handed to answer with every later question, what it returns second is sent.
    """
    channel = Channel()
    loaded: Any = None
    while (question := channel.read()) is not None:
        try:
            if question["op"] == "load":
                loaded, reply = load(question)
            else:
                reply = answer(question, loaded)
            channel.write(reply)
        except BaseException as error:  # also SystemExit: the program does not decide when to leave
            traceback.print_exc()
            channel.write({"error": describe(error)})
            return


def main() -> None:
    """Run the harness that the command line names."""
    here = str(Path(__file__).resolve().parent)
    sys.path.insert(0, here)
    name = sys.argv[1]
    module = __import__(name)
    sys.path.remove(here)
    sys.path.insert(0, str(Path.cwd()))
    sys.argv[:] = [""]
    module.run()


if __name__ == "__main__":
    sys.modules["harness"] = sys.modules["__main__"]
    main()
