"""Frames on descriptor 3: four bytes of length, big end first, then the payload."""

from __future__ import annotations

import os
from typing import BinaryIO

MAX_FRAME_BYTES = 64 << 20


class Closed(Exception):
    """The other side has closed the channel."""


class Frames:
    """Reads and writes frames on one descriptor."""

    def __init__(self, descriptor: int = 3) -> None:
        self._descriptor = descriptor
        self._reader: BinaryIO = open(descriptor, "rb", buffering=1 << 16, closefd=False)  # noqa: SIM115

    def read(self) -> bytes:
        """Return the payload of the next frame."""
        length = int.from_bytes(self._exactly(4), "big")
        if length > MAX_FRAME_BYTES:
            raise ValueError(f"a frame of {length} bytes is longer than {MAX_FRAME_BYTES}")
        return self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        data = self._reader.read(count)
        if len(data) < count:
            raise Closed
        return data

    def write(self, payload: bytes) -> None:
        """Send one frame."""
        if len(payload) > MAX_FRAME_BYTES:
            raise ValueError(f"a frame of {len(payload)} bytes is longer than {MAX_FRAME_BYTES}")
        data = memoryview(len(payload).to_bytes(4, "big") + payload)
        while data:
            data = data[os.write(self._descriptor, data) :]
