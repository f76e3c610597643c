"""Repeated games of two players with simultaneous moves.

The submitted strategy sits in the row; the column's moves, the payoffs and the
random numbers are here. The strategy is loaded several times (lanes). Each lane
plays its share of the games one after the other, as a single process would, and
one message carries the same round of all lanes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from mlgym_grader.session import Player, Result, Session
from mlgym_grader.stream import Stream

FILE = "strategy.py"
FUNCTION = "row_strategy"
MAX_LANES = 100

History = list[tuple[Any, Any]]


def play(
    session: Session,
    *,
    check: Callable[[object], str | None],
    column: Callable[[History, Stream], Any],
    payoff: Callable[[Any, Any], float],
) -> Result:
    """Play all games and return Score, the mean payoff of the row in a round.

    check says what is wrong with a move, or None; it is given a value of JSON.
    column chooses the opponent's move from the rounds before; it and payoff are
    called in a fixed order, so that a seed and a strategy give one score.
    """
    games, rounds = session.parameters["games"], session.parameters["rounds"]
    player = session.start("row", harness="games")
    lanes = player.load(FILE, FUNCTION, lanes=min(MAX_LANES, games))
    streams = [session.stream(f"column of lane {i}") for i in range(lanes)]
    shares = [games // lanes + (i < games % lanes) for i in range(lanes)]
    total = square = 0.0
    for game in range(shares[0]):
        active = sum(share > game for share in shares)  # the first ones: no later share is larger
        for earned in _game(player, streams[:active], rounds, check, column, payoff):
            mean = earned / rounds
            total += mean
            square += mean * mean
    player.stop()
    score = total / games
    variance = max(0.0, square / games - score * score)
    details = {"standard_error": math.sqrt(variance / games), "games": games, "rounds": rounds, "lanes": lanes}
    return Result({"Score": score}, details)


def _game(
    player: Player,
    streams: list[Stream],
    rounds: int,
    check: Callable[[object], str | None],
    column: Callable[[History, Stream], Any],
    payoff: Callable[[Any, Any], float],
) -> list[float]:
    """Play one game in each lane and return what the rows have earned."""
    lanes = len(streams)
    histories: list[History] = [[] for _ in range(lanes)]
    earned = [0.0] * lanes
    question: dict[str, Any] = {"op": "first", "lanes": lanes}
    for number in range(1, rounds + 1):
        moves = player.ask(question).get("moves")
        if type(moves) is not list or len(moves) != lanes:
            player.fail(f"did not give one move for each of {lanes} games")
        columns = []
        for lane, move in enumerate(moves):
            problem = check(move)
            if problem is not None:
                player.fail(f"made an impossible move in round {number} of a game: {problem}")
            history = histories[lane]
            answer = column(history, streams[lane])
            history.append((move, answer))
            earned[lane] += payoff(move, answer)
            columns.append(answer)
        question = {"op": "next", "column": columns}
    return earned
