"""Tables that were handed in: CSV, read strictly and joined by id.

A reader such as pandas guesses; a guess is a way to be scored for what was not
meant. Here a file has exactly the columns asked for, each id exactly once, and
every cell in one spelling. The first problem ends the grading with a message that
says where it is. Nothing hidden is in a message: the ids are the agent's own.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from mlgym_grader.session import Invalid, Session

Value = TypeVar("Value")

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{0,20})?([eE][-+]?[0-9]{1,3})?")
MAX_CELL = 100_000
SHOWN = 5  # so many ids are named in a message


def read_table(path: Path, columns: Sequence[str], max_rows: int) -> list[tuple[str, ...]]:
    """Return the rows below the header, which has to be exactly columns.

    The file is comma-separated UTF-8 without a byte-order mark; cells may be
    quoted. Every row has as many cells as there are columns, and there are at most
    max_rows of them.
    """
    name = path.name
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(f"{name} is not UTF-8 text: see byte {error.start}.") from None
    if text.startswith("\ufeff"):
        raise Invalid(f"{name} begins with a byte-order mark; write it as plain UTF-8.")
    if "\0" in text:
        raise Invalid(f"{name} has a zero byte at offset {text.index(chr(0))}.")
    if not text.strip():
        raise Invalid(f"{name} is empty; its first line has to be {','.join(columns)}.")
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)  # not splitlines, which knows further line ends
    rows: list[tuple[str, ...]] = []
    try:
        header = next(reader)
        if header != list(columns):
            raise Invalid(f"{name}: the first line has to be {','.join(columns)}, not {_short(','.join(header))}.")
        for row in reader:
            if not row:
                continue  # an empty line
            if len(row) != len(columns):
                raise Invalid(f"{name}, line {reader.line_num}: want {len(columns)} cells, got {len(row)}.")
            if len(rows) == max_rows:
                raise Invalid(f"{name} has more than {max_rows} rows below its header.")
            rows.append(tuple(row))
    except csv.Error as error:
        raise Invalid(f"{name}, line {reader.line_num}: {error}.") from None
    return rows


def by_id(
    path: Path, columns: tuple[str, str], expected: Collection[str], optional: Collection[str] = ()
) -> dict[str, str]:
    """Return value by id of a table with an id column and a value column.

    Every expected id has to be there exactly once, in any order; the optional ones
    may be there; others may not.
    """
    expected, optional = set(expected), set(optional)
    rows = read_table(path, columns, len(expected) + len(optional))
    name, values = path.name, {}
    for number, (key, value) in enumerate(rows, start=2):
        if key not in expected and key not in optional:
            raise Invalid(f"{name}, row {number}: {_short(key)} is not one of the ids to be predicted.")
        if key in values:
            raise Invalid(f"{name}, row {number}: the {columns[0]} {_short(key)} stands twice.")
        values[key] = value
    if missing := sorted(expected - values.keys()):
        listed = ", ".join(missing[:SHOWN]) + (" …" if len(missing) > SHOWN else "")
        raise Invalid(f"{name}: {len(missing)} of {len(expected)} ids are missing: {listed}.")
    return values


def truth(path: Path, columns: tuple[str, str]) -> dict[str, str]:
    """Return value by id of a table of our own, such as true labels. A mistake in it is no agent's."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file, strict=True)) or [[]]
    if header != list(columns):
        raise ValueError(f"{path} begins with {header}, want {columns}")
    values = dict(rows)
    if not values or len(values) != len(rows):
        raise ValueError(f"{path} has {len(rows)} rows and {len(values)} ids, want as many, and some")
    return values


def asked(
    session: Session, validation: Mapping[str, Value], test: Mapping[str, Value]
) -> tuple[Mapping[str, Value], Collection[str], Collection[str]]:
    """Return what a grading scores, the ids that have to be predicted for it, and those that may be.

    Hardened, all ids have to be predicted; a validation scores the validation rows
    and a submit the test rows. As published, both score the test rows, and the
    validation rows need no prediction: the agent knows their labels.
    """
    if session.mode == "published":
        return test, test.keys(), validation.keys()
    return (validation if session.kind == "validate" else test), validation.keys() | test.keys(), ()


def integer(text: str, low: int, high: int, where: str) -> int:
    """Return the integer that a cell spells, within low..high."""
    if not _INTEGER.fullmatch(text) or not low <= int(text) <= high:
        raise Invalid(f"{where}: want an integer from {low} to {high}, got {_short(text)}.")
    return int(text)


def decimal(text: str, low: float, high: float, where: str) -> float:
    """Return the number that a cell spells, within low..high. It is finite, whatever the bounds are."""
    value = float(text) if _DECIMAL.fullmatch(text) else math.nan
    if not math.isfinite(value) or not low <= value <= high:
        raise Invalid(f"{where}: want a decimal number from {low:g} to {high:g}, got {_short(text)}.")
    return value


def _short(text: str) -> str:
    """Return the text fit for a message: quoted, printable, not long."""
    return ascii(text[:40]) + ("…" if len(text) > 40 else "")
