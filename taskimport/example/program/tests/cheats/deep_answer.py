"""Sends JSON that is nested too deeply, and numbers of a million digits."""

import os

ANSWER = b'{"moves": ' + b"[" * 200_000 + b"9" * 100_000 + b"]" * 200_000 + b"}"


def row_strategy(history):
    os.write(3, len(ANSWER).to_bytes(4, "big"))
    view = memoryview(ANSWER)
    while view:
        view = view[os.write(3, view) :]
    os._exit(0)
