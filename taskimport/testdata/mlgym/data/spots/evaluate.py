"""Prints the share of cards whose spots were counted right, as JSON."""

import argparse
import csv
import json

parser = argparse.ArgumentParser()
parser.add_argument("--submission_file", required=True)
given = parser.parse_args()

with open("data/answers.csv", newline="") as file:
    answers = {row["card"]: int(row["spots"]) for row in csv.DictReader(file)}
with open(given.submission_file, newline="") as file:
    counted = {row["card"]: int(row["spots"]) for row in csv.DictReader(file)}
right = sum(counted[card] == spots for card, spots in answers.items())
print("reading", given.submission_file)
print(json.dumps({"accuracy": right / len(answers), "cards": len(answers)}))
