"""Hands in a file of 64 MiB that takes no room here."""

with open("submission.csv", "wb") as file:
    file.write(b"id,label\n")
    file.truncate(64 << 20)
