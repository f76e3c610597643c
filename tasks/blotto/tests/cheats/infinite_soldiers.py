"""Sends an infinite number."""


def row_strategy(history):
    return [1e999, 1e999, 1e999, 1e999, 0, 0]
