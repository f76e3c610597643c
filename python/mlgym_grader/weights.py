"""Weights that were handed in: a safetensors file, read strictly.

A safetensors file is eight bytes with the length of the header, the header, which is
JSON, and then the tensors, one after the other. It carries no code, but a reader in
native code would be the first to see bytes that somebody else chose. This one knows
beforehand which tensors there have to be and of which shapes. Everything is checked
with Python's own integers before a tensor is touched; the first problem ends the
grading with a message.

Accepted are tensors of the types F32, F16 and BF16, whose values are all finite;
they are given as float32. As the format demands, they cover the rest of the file
without gap or overlap. What ``__metadata__`` says is checked for its form and
otherwise ignored.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from mlgym_grader.session import Invalid

MAX_HEADER_BYTES = 1 << 20  # 200 tensors of a BERT take 25 kB
ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
METADATA = "__metadata__"
ENTRY = {"dtype", "shape", "data_offsets"}
SHOWN = 3  # so many names are listed in a message

Shape = tuple[int, ...]
Tensor = npt.NDArray[np.float32]


class Weights:
    """A file with exactly the tensors that shapes names.

    Making it checks everything but the values. Iterating reads the tensors one by
    one, in the order of shapes, so that no more than one of them is in memory.
    """

    def __init__(self, path: Path, shapes: Mapping[str, Shape]) -> None:
        self._path = path
        self._shapes = shapes
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length > size - 8:
                self._refuse("is not a safetensors file: it is shorter than its header")
            if length > MAX_HEADER_BYTES:
                self._refuse(
                    f"has a header of {length} bytes; at most {MAX_HEADER_BYTES} are read. Is it a safetensors file?"
                )
            header = self._header(file.read(length))
        self._begin = 8 + length
        self._entries = {name: self._entry(name, header[name]) for name in self._names(header)}
        self._offsets(size - self._begin)

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        """Yield name and values of each tensor; refuse what is not finite."""
        with self._path.open("rb") as file:
            for name, shape in self._shapes.items():
                dtype, begin, end = self._entries[name]
                file.seek(self._begin + begin)
                data = file.read(end - begin)
                if len(data) != end - begin:
                    raise OSError(f"{self._path} became shorter while it was read")
                values = _numbers(data, dtype).reshape(shape)
                if not np.isfinite(values).all():
                    self._refuse(f"has values in {_short(name)} that are not finite")
                yield name, values

    def _refuse(self, problem: str) -> NoReturn:
        raise Invalid(f"{self._path.name} {problem}.")

    def _header(self, data: bytes) -> dict[str, Any]:
        """Return the header's object without what __metadata__ says."""
        if not data.startswith(b"{"):
            self._refuse("is not a safetensors file: its header is no JSON object")
        try:
            header = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
        except (ValueError, RecursionError):  # JSON and UTF-8 errors are ValueErrors
            self._refuse("has a header that is not JSON, or has a key twice")
        metadata = header.pop(METADATA, {})
        if type(metadata) is not dict or not all(type(value) is str for value in metadata.values()):
            self._refuse(f"has a header whose {METADATA} is not an object of texts")
        return header

    def _names(self, header: Mapping[str, Any]) -> Sequence[str]:
        """Return the wanted names; refuse where the header has not exactly these."""
        if missing := [name for name in self._shapes if name not in header]:
            self._refuse(f"lacks {len(missing)} tensors of {len(self._shapes)}: {_listed(missing)}")
        if more := [name for name in header if name not in self._shapes]:
            self._refuse(f"has {len(more)} tensors that do not belong to the model: {_listed(more)}")
        return list(self._shapes)

    def _entry(self, name: str, entry: object) -> tuple[str, int, int]:
        """Return type, begin and end of a tensor."""
        shown = _short(name)
        if type(entry) is not dict or set(entry) != ENTRY:
            self._refuse(f"describes {shown} by something else than {', '.join(sorted(ENTRY))}")
        dtype = entry["dtype"]
        if type(dtype) is not str or dtype not in ITEM_BYTES:
            self._refuse(f"has {shown} of the type {_short(str(dtype))}; want one of {', '.join(ITEM_BYTES)}")
        want = self._shapes[name]
        shape = entry["shape"]
        if not _integers(shape) or tuple(shape) != want:
            self._refuse(f"has {shown} of the shape {_short(str(shape))}; the configuration asks for {list(want)}")
        offsets = entry["data_offsets"]
        if not _integers(offsets) or len(offsets) != 2:
            self._refuse(f"has data_offsets of {shown} that are not two integers")
        begin, end = offsets
        if begin < 0 or end - begin != math.prod(want) * ITEM_BYTES[dtype]:
            self._refuse(f"has data_offsets of {shown} that do not fit its type and shape")
        return dtype, begin, end

    def _offsets(self, size: int) -> None:
        """Refuse tensors that leave a gap, overlap, or do not end where the file does."""
        position = 0
        for name, (_, begin, end) in sorted(self._entries.items(), key=lambda item: item[1][1:]):
            if begin != position:
                self._refuse(f"has {'a gap before' if begin > position else 'an overlap at'} {_short(name)}")
            position = end
        if position != size:
            self._refuse(f"has {size} bytes behind its header, and its tensors take {position}")


def _numbers(data: bytes, dtype: str) -> Tensor:
    """Return the numbers that the bytes spell, as float32."""
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, "<f4" if dtype == "F32" else "<f2").astype(np.float32)


def _integers(value: object) -> bool:
    return type(value) is list and all(type(item) is int for item in value)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object; refuse a key that stands twice, since readers differ in which one they take."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice")
    return made


def _no_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(_short(name) for name in names[:SHOWN]) + (" …" if len(names) > SHOWN else "")


def _short(text: str) -> str:
    """Return the text fit for a message: printable, not long."""
    shown = ascii(text)[1:-1]
    return shown[:80] + ("…" if len(shown) > 80 else "")
