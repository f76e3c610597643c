"""A good player: always 1."""


def row_strategy(history):
    return 1
