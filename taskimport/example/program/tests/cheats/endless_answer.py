"""Announces an answer of four gigabytes."""

import os


def row_strategy(history):
    os.write(3, b"\xff\xff\xff\xff")
    while True:
        os.write(3, b"[" * 65536)
