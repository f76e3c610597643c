"""Hands in a file of a gigabyte, most of it a hole."""

with open("submission.csv", "w") as file:
    file.write("image_id,caption\n")
    file.truncate(1 << 30)
