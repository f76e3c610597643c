"""No work: the mean price of the training rows for every house."""

import csv

with open("data/train/train.csv", newline="") as file:
    prices = [int(row["SalePrice"]) for row in csv.DictReader(file)]
mean = sum(prices) / len(prices)
with open("data/test/test.csv", newline="") as file, open("submission.csv", "w") as answer:
    answer.write("Id,SalePrice\n")
    answer.writelines(f"{row['Id']},{mean}\n" for row in csv.DictReader(file))
