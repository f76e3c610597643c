"""Two columns of the same name, one with each answer: a reader may take either."""

import csv

with open("data/test/test.csv", newline="") as file, open("submission.csv", "w") as answer:
    answer.write("PassengerId,Survived,Survived\n")
    answer.writelines(f"{row['PassengerId']},0,1\n" for row in csv.DictReader(file))
