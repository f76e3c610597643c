"""A good submission: the mean of the points nearby, the nearer the more."""

import csv
import math

WIDTH = 0.25

with open("train.csv", newline="", encoding="utf-8") as file:
    known = [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]
with open("inputs.csv", newline="", encoding="utf-8") as file:
    wanted = [(row["id"], float(row["x"])) for row in csv.DictReader(file)]


def near(x: float) -> float:
    """Return the weighted mean at x."""
    weights = [math.exp(-(((x - at) / WIDTH) ** 2) / 2) + 1e-12 for at, _ in known]
    return sum(w * y for w, (_, y) in zip(weights, known, strict=True)) / sum(weights)


with open("submission.csv", "w", newline="", encoding="utf-8") as file:
    csv.writer(file).writerows([["id", "y"], *([key, f"{near(x):.4f}"] for key, x in wanted)])
