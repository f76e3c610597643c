"""Reads texts out of the data of an installed R package, without R.

A package keeps its data in two files. Rdata.rdx is a gzip-compressed R object that
says at which offset of Rdata.rdb each variable lies; there, four bytes of length
are followed by the variable, compressed with zlib and serialised. Of R's format
only what such packages use for texts is understood, and everything else refused.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

# Types of R objects.
NIL, SYMBOL, PAIRS, CHARS, LOGICALS, INTEGERS, STRINGS, LIST, REFERENCE = 254, 1, 2, 9, 10, 13, 16, 19, 255
HAS_ATTRIBUTES, HAS_TAG = 0x200, 0x400


class Unknown(Exception):
    """The file is not what this module reads."""


class _Reader:
    """One serialised object, in R's XDR format of version 2 or 3."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._symbols: list[str] = []
        if self._take(2) != b"X\n":
            raise Unknown("it does not begin as an R object does")
        version = self._integer()
        self._take(8)  # the versions of R that wrote it and that can read it
        if version == 3:
            self._take(self._integer())  # the name of the encoding
        elif version != 2:
            raise Unknown(f"version {version} of R's format is not known")

    def _take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if count < 0 or len(taken) < count:
            raise Unknown("it is cut off")
        self._at += count
        return taken

    def _integer(self) -> int:
        return int.from_bytes(self._take(4), "big", signed=True)

    def item(self) -> Any:
        """Return the next object: a list, a list of numbers or of texts, a dictionary where it has names."""
        flags = self._integer()
        kind = flags & 0xFF
        if kind == NIL:
            return None
        if kind == SYMBOL:
            self._symbols.append(self.item())
            return self._symbols[-1]
        if kind == REFERENCE:
            return self._symbols[(flags >> 8) - 1]
        if kind == CHARS:
            return self._take(self._integer()).decode("utf-8")
        if kind == PAIRS:
            return self._pairs(flags)
        count = self._integer()
        if kind in (LOGICALS, INTEGERS):
            value: Any = list(struct.unpack(f">{count}i", self._take(4 * count)))
        elif kind in (STRINGS, LIST):
            value = [self.item() for _ in range(count)]
        else:
            raise Unknown(f"an R object of type {kind} is not known")
        attributes = self.item() if flags & HAS_ATTRIBUTES else None
        return dict(zip(attributes["names"], value, strict=True)) if attributes and "names" in attributes else value

    def _pairs(self, flags: int) -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        while flags & 0xFF == PAIRS:
            name = self.item() if flags & HAS_TAG else ""
            pairs[name] = self.item()
            flags = self._integer()
        return pairs


def texts(folder: Path) -> dict[str, list[str]]:
    """Return the lines of each text that the package in the folder has, by name."""
    index = _Reader(gzip.decompress((folder / "Rdata.rdx").read_bytes())).item()
    data = (folder / "Rdata.rdb").read_bytes()
    found = {}
    for name, (offset, length) in index["variables"].items():
        packed = data[offset : offset + length]
        try:
            plain = zlib.decompress(packed[4:])
        except zlib.error as error:
            raise Unknown(f"{name}: {error}") from None
        if len(plain) != int.from_bytes(packed[:4], "big"):
            raise Unknown(f"{name} has another length than it says")
        found[name] = _Reader(plain).item()
    return found
