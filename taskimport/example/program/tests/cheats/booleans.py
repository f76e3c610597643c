"""Returns a boolean, which passes for 0 and 1."""


def row_strategy(history):
    return bool(0)
