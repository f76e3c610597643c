"""Hands in more than is allowed, all of it a hole."""

with open("submission.csv", "wb") as file:
    file.truncate(1 << 30)
