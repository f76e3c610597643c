"""Says 0 and 1 for every passenger, in two lines each."""

import csv

with open("data/test/test.csv", newline="") as file, open("submission.csv", "w") as answer:
    answer.write("PassengerId,Survived\n")
    for row in csv.DictReader(file):
        answer.write(f"{row['PassengerId']},0\n{row['PassengerId']},1\n")
