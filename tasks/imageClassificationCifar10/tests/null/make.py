"""No work at all: the first class for every image."""

ids = open("data/test/ids.txt").read().split()
with open("submission.csv", "w") as file:
    file.write("id,label\n" + "".join(f"{key},0\n" for key in ids))
