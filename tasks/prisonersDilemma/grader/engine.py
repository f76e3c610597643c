"""The rules of the prisoner's dilemma and the partner that plays the column."""

from __future__ import annotations

from typing import Protocol

ROW_PAYOFF = ((3, 0), (5, 1))


class Random(Protocol):
    """What the partner needs of a source of random numbers."""

    def random(self) -> float:
        """Return a float from [0, 1)."""


History = list[tuple[int, int]]


def check(move: object) -> str | None:
    """Say what is wrong with a move of the row, or return None."""
    if type(move) is int and (move == 0 or move == 1):
        return None
    return "want the integer 0 or 1"


def payoff(row: int, column_move: int) -> int:
    """Return what the row earns."""
    return ROW_PAYOFF[row][column_move]


def moody(history: History, stream: Random) -> int:
    """Open with 1; later mostly repeat the own last move."""
    if not history:
        return 1
    row_last, own_last = history[-1]
    draw = stream.random()
    if draw < 0.3333:
        return 0
    if draw < 0.5:
        return 1
    if draw < 0.9:
        return own_last
    return 1 - row_last


def tit_for_tat(history: History, stream: Random) -> int:
    """Open with 0, then do what the row did last."""
    return history[-1][0] if history else 0


def always_cooperate(history: History, stream: Random) -> int:
    """Play 0."""
    return 0


def always_defect(history: History, stream: Random) -> int:
    """Play 1."""
    return 1


def coin(history: History, stream: Random) -> int:
    """Toss a fair coin."""
    return 0 if stream.random() < 0.5 else 1


def grim(history: History, stream: Random) -> int:
    """Play 0 until the row has ever played 1."""
    for row, _ in history:
        if row == 1:
            return 1
    return 0


def pavlov(history: History, stream: Random) -> int:
    """Open with 0; play 0 if both did the same in the last round, else 1."""
    if not history or history[-1][0] == history[-1][1]:
        return 0
    return 1


def tit_for_two_tats(history: History, stream: Random) -> int:
    """Play 1 only if the row played 1 in both of the last two rounds."""
    if len(history) < 2:
        return 0
    return 1 if history[-1][0] == 1 and history[-2][0] == 1 else 0


def suspicious_tit_for_tat(history: History, stream: Random) -> int:
    """Open with 1, then do what the row did last."""
    return history[-1][0] if history else 1


def other_coin(history: History, stream: Random) -> int:
    """Toss a fair coin, too: the pool holds two such rules."""
    return 0 if stream.random() < 0.5 else 1


def forgiving(history: History, stream: Random) -> int:
    """Open with 0; forgive two defections in a row, else do what the row did last."""
    if not history:
        return 0
    if len(history) >= 2 and history[-1][0] == 1 and history[-2][0] == 1:
        return 0
    return history[-1][0]


RULES = (
    moody,
    tit_for_tat,
    always_cooperate,
    always_defect,
    coin,
    grim,
    pavlov,
    tit_for_two_tats,
    suspicious_tit_for_tat,
    other_coin,
    forgiving,
)


def column(history: History, stream: Random) -> int:
    """Return the partner's move: every round it draws one of the rules anew."""
    return RULES[int(stream.random() * len(RULES))](history, stream)
