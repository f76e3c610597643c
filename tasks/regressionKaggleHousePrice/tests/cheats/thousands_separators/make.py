"""Prices such as 182,500, which make a cell too many or another number."""

import csv

with open("data/test/test.csv", newline="") as file, open("submission.csv", "w") as answer:
    answer.write("Id,SalePrice\n")
    answer.writelines(f'{row["Id"]},"182,500"\n' for row in csv.DictReader(file))
