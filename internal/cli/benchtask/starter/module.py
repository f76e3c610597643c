def increment(x: int) -> int:
    return x + 1


def decrement(x: int) -> int:
    return x - 1
