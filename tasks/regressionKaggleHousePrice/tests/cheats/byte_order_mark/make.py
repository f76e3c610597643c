"""A byte-order mark and a second pair of columns: one reader sees the first pair, another one the second."""

import csv

with open("data/test/test.csv", newline="") as file, open("submission.csv", "w", encoding="utf-8-sig") as answer:
    answer.write("Id,SalePrice,Id,SalePrice\n")
    answer.writelines(f"{row['Id']},100000,{row['Id']},300000\n" for row in csv.DictReader(file))
