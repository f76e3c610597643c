"""Leaves out the fields that would be lost."""


def row_strategy(history):
    return [40, 40, 40]
