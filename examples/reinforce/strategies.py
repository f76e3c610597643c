"""The strategies whose parameters are learned: a program with one line of numbers in it."""

from collections.abc import Sequence
from dataclasses import dataclass

_LINE = "PARAMETERS = "

_BATTLE_OF_SEXES = f'''"""Plays 1 with a probability that depends on the last round."""

import math
import random

{_LINE}[0.0, 0.0, 0.0, 0.0, 0.0]


def row_strategy(history):
    """Return 0 or 1."""
    case = 0
    if history:
        mine, theirs = history[-1]
        case = 1 + 2 * mine + theirs
    return int(random.random() < 1 / (1 + math.exp(-PARAMETERS[case])))
'''

_BLOTTO = f'''"""Splits the soldiers in proportion to the exponentials of the parameters."""

import math

{_LINE}[0.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def row_strategy(history):
    """Return how many soldiers go to each field."""
    highest = max(PARAMETERS)
    weights = [math.exp(p - highest) for p in PARAMETERS]
    shares = [120 * w / sum(weights) for w in weights]
    split = [int(s) for s in shares]
    for field in sorted(range(6), key=lambda f: split[f] - shares[f])[: 120 - sum(split)]:
        split[field] += 1
    return split
'''


@dataclass(frozen=True, slots=True)
class Strategy:
    """What is learned in one task.

    `program` is the file strategy.py, in which one line holds the parameters, all of
    them 0 in the beginning. `names` says what each means, `spread` is how far the
    first draws lie around the mean. `starter` is the score of the task's own starter.
    """

    task: str
    program: str
    names: tuple[str, ...]
    spread: float
    starter: float

    def preparation(self) -> str:
        """The shell text that writes the program and opens it; the same in all episodes."""
        return f"cat > strategy.py <<'END_OF_FILE'\n{self.program}END_OF_FILE\nopen strategy.py"

    def edit(self, parameters: Sequence[float]) -> str:
        """The action: the agent's own tool `edit` replaces the line of the parameters."""
        lines = self.program.splitlines()
        number = 1 + next(i for i, line in enumerate(lines) if line.startswith(_LINE))
        # Bounded, so that no exponential overflows: exp(-30) is as good as never.
        numbers = ", ".join(f"{min(30.0, max(-30.0, p)):.4f}" for p in parameters)
        return f"edit {number}:{number}\n{_LINE}[{numbers}]\nend_of_edit"


STRATEGIES = {
    s.task: s
    for s in (
        Strategy(
            "battleOfSexes",
            _BATTLE_OF_SEXES,
            ("first round", "after 0, 0", "after 0, 1", "after 1, 0", "after 1, 1"),
            1.0,
            1.021,
        ),
        Strategy("blotto", _BLOTTO, tuple(f"field {i}" for i in range(1, 7)), 0.4, -0.2491),
    )
}
