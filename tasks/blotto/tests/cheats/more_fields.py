"""Sends soldiers to fields that do not exist."""


def row_strategy(history):
    return [20] * 6 + [0] * 6
