"""The other player, which is a secret."""


def pick(history):
    """Return 6 in every round."""
    return 6
