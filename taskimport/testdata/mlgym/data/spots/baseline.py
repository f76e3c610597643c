"""Guesses that every card has three spots."""

import csv

with open("data/inputs.csv", newline="") as file:
    cards = [row["card"] for row in csv.DictReader(file)]
with open("submission.csv", "w", newline="") as file:
    csv.writer(file).writerows([["card", "spots"], *([card, 3] for card in cards)])
