"""The best known fixed split."""


def row_strategy(history):
    return [30, 30, 30, 30, 0, 0]
