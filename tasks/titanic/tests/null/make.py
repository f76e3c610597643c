"""No work: nobody survives."""

import csv

with open("data/test/test.csv", newline="") as file:
    ids = [row["PassengerId"] for row in csv.DictReader(file)]
with open("submission.csv", "w") as file:
    file.write("PassengerId,Survived\n" + "".join(f"{key},0\n" for key in ids))
