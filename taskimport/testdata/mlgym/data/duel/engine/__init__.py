"""The rules."""


def earned(mine, theirs):
    """Return what a round earns."""
    return mine if 0 <= mine <= 9 and theirs >= mine else 0
