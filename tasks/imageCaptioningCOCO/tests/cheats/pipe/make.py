"""Hands in a pipe, which never ends or never begins."""

import os

if os.path.lexists("submission.csv"):
    os.remove("submission.csv")
os.mkfifo("submission.csv")
