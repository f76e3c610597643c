"""Hands in a hard link to a file of the system, or a link to it where that is refused."""

import os

try:
    os.link("/etc/passwd", "submission.csv")
except OSError:
    os.symlink("/etc/passwd", "submission.csv")
