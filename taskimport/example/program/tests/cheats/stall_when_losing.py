"""Stops answering when a game goes badly."""

import time


def row_strategy(history):
    if len(history) == 9:
        time.sleep(3600)
    return 0
