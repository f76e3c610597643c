"""Sends numbers as text."""


def row_strategy(history):
    return ["999", "999", "999", "999", "0", "0"]
