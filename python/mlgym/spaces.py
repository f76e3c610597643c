"""The space of texts that agents read and write.

Gymnasium's own Text space wants its characters listed, and by default has letters
and digits only: an observation with a line break or an umlaut would lie outside,
and `check_env` refuses it. Listing all of Unicode would cost each copy of the space
200 MB. This space is a Text whose characters are counted instead.

An AsyncVectorEnv hands observations from its workers through shared memory. For
Gymnasium's Text it reads that memory once, before there is anything in it, and so
returns the same empty texts for ever; what is registered below reads it each time.
"""

import multiprocessing
from collections.abc import Iterator, Sequence, Set
from functools import cache
from typing import Any, Self, SupportsIndex, cast, overload

import numpy as np
from gymnasium import Space, spaces
from gymnasium.vector.utils import create_shared_memory, read_from_shared_memory, write_to_shared_memory
from numpy.typing import NDArray

_SURROGATES = range(0xD800, 0xE000)
_COUNT = 0x110000 - len(_SURROGATES)
_SAMPLED = 64


class _Characters(Sequence[str], Set[str]):
    """Every Unicode character, in order: what UTF-8 can carry, so no surrogates."""

    def __len__(self) -> int:
        return _COUNT

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(_COUNT)))
        at = int(index)
        if at < 0:
            at += _COUNT
        if not 0 <= at < _COUNT:
            raise IndexError(index)
        return chr(at if at < _SURROGATES.start else at + len(_SURROGATES))

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and len(value) == 1 and ord(value) not in _SURROGATES

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(_COUNT))


_characters = _Characters()


@cache
def _all() -> str:
    return "".join(_characters)


class UnicodeText(spaces.Text):
    """Texts of any characters, of `min_length` to `max_length` of them.

    A sample is short (at most 64 characters) and printable ASCII: it is in the space, and
    nothing more is promised of it. Asked for a length, `sample(mask=(n, None))`, it
    has that.
    """

    def __init__(self, max_length: int, *, min_length: int = 0, seed: int | np.random.Generator | None = None) -> None:
        if not 0 <= min_length <= max_length:
            raise ValueError(f"a text of {min_length} to {max_length} characters: want 0 <= min_length <= max_length")
        self.min_length = min_length
        self.max_length = max_length
        Space.__init__(self, dtype=str, seed=seed)

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Draws a text, see the class."""
        given = mask if mask is not None else probability
        if given is not None and given[1] is not None:
            return super().sample(mask=mask, probability=probability)
        if given is not None and given[0] is not None:
            length = int(given[0])
            if not self.min_length <= length <= self.max_length:
                raise ValueError(f"a sample of {length} characters: want {self.min_length} to {self.max_length}")
        else:
            longest = max(self.min_length, min(self.max_length, _SAMPLED))
            length = int(self.np_random.integers(self.min_length, longest + 1))
        codes: NDArray[np.int64] = self.np_random.integers(0x20, 0x7F, size=length)
        return "".join(map(chr, codes.tolist()))

    def contains(self, x: Any) -> bool:
        """Says whether a value is a text of this space."""
        return isinstance(x, str) and self.min_length <= len(x) <= self.max_length and _encodable(x)

    def clean(self, text: str) -> str:
        """Brings a text into the space: surrogates become U+FFFD, and the middle of one that is too long a note."""
        if not _encodable(text):
            text = "".join("�" if ord(c) in _SURROGATES else c for c in text)
        if len(text) <= self.max_length:
            return text
        note = f"\n[... {len(text) - self.max_length} characters and a few are left out ...]\n"
        room = self.max_length - len(note)
        if room <= 0:
            return text[: self.max_length]
        return text[: room - room // 2] + note + text[len(text) - room // 2 :]

    @property
    def character_set(self) -> frozenset[str]:
        """All characters, as a set that is not stored."""
        return cast("frozenset[str]", _characters)

    @property
    def character_list(self) -> tuple[str, ...]:
        """All characters in order, as a sequence that is not stored."""
        return cast("tuple[str, ...]", _characters)

    def character_index(self, char: str) -> np.int32:
        """The place of a character in `character_list`."""
        code = ord(char)
        if code in _SURROGATES:
            raise KeyError(char)
        return np.int32(code if code < _SURROGATES.start else code - len(_SURROGATES))

    @property
    def characters(self) -> str:
        """All characters as one text of 4 MB, which is made when it is first asked for."""
        return _all()

    def __repr__(self) -> str:
        return f"UnicodeText({self.min_length}, {self.max_length})"

    def __eq__(self, other: object, /) -> bool:
        return (
            isinstance(other, UnicodeText)
            and self.min_length == other.min_length
            and self.max_length == other.max_length
        )

    __hash__ = None  # type: ignore[assignment]


def _encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class SharedTexts(tuple[str, ...]):
    """Texts in memory that other processes write: a tuple that is read anew each time.

    A copy is an ordinary tuple of the texts as they are then.
    """

    _rows: NDArray[np.int32]

    def __new__(cls, rows: NDArray[np.int32]) -> Self:
        """Makes a view of rows, each of a length and as many characters."""
        made = super().__new__(cls, [""] * len(rows))
        made._rows = rows
        return made

    @overload
    def __getitem__(self, index: SupportsIndex) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...

    def __getitem__(self, index: SupportsIndex | slice) -> str | tuple[str, ...]:
        return tuple(iter(self))[index]

    def __iter__(self) -> Iterator[str]:
        return (row[1 : 1 + int(row[0])].tobytes().decode("utf-32-le") for row in self._rows)

    def __eq__(self, other: object) -> bool:
        return tuple(iter(self)) == other

    def __hash__(self) -> int:
        return hash(tuple(iter(self)))

    def __repr__(self) -> str:
        return repr(tuple(iter(self)))

    def __deepcopy__(self, memo: dict[int, Any]) -> tuple[str, ...]:
        return tuple(iter(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return (tuple, (list(iter(self)),))


def _rows(space: UnicodeText, memory: Any, n: int) -> NDArray[np.int32]:
    return np.frombuffer(memory.get_obj(), dtype=np.int32).reshape((n, 1 + space.max_length))


def _create(space: UnicodeText, n: int = 1, ctx: Any = multiprocessing) -> Any:
    return ctx.Array(np.dtype(np.int32).char, n * (1 + space.max_length))


def _read(space: UnicodeText, shared_memory: Any, n: int = 1) -> SharedTexts:
    return SharedTexts(_rows(space, shared_memory, n))


def _write(space: UnicodeText, index: int, value: str, shared_memory: Any) -> None:
    row = np.frombuffer(shared_memory.get_obj(), dtype=np.int32)[index * (1 + space.max_length) :]
    codes = np.frombuffer(value.encode("utf-32-le"), dtype="<i4")
    row[1 : 1 + len(codes)] = codes
    row[0] = len(codes)


create_shared_memory.register(UnicodeText, _create)
read_from_shared_memory.register(UnicodeText, _read)
write_to_shared_memory.register(UnicodeText, _write)
