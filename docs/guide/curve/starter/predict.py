"""Write predictions.csv: the mean of the training values, for every input."""

import csv
from pathlib import Path

with Path("train.csv").open() as file:
    values = [float(row["y"]) for row in csv.DictReader(file)]
with Path("inputs.csv").open() as file:
    inputs = [float(row["x"]) for row in csv.DictReader(file)]

mean = sum(values) / len(values)
Path("predictions.csv").write_text("y\n" + "".join(f"{mean:.3f}\n" for _ in inputs))
