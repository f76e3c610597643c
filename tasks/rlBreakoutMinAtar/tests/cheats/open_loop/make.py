"""Plays games with open eyes, the ball coming from the left, and writes down what was done."""

import random
from pathlib import Path


def play(steps, ahead):
    """The moves that keep the paddle under the ball, or at times a step ahead of it."""
    choice = random.Random(ahead)
    bricks = {(y, x) for y in (1, 2, 3) for x in range(10)}
    paddle, x, y, across, down, strike, moves = 4, 0, 3, 1, 1, False, []
    for _ in range(steps):
        target = min(9, max(0, x + across)) if choice.random() < ahead else x
        moves.append(1 if target < paddle else 2 if target > paddle else 0)
        paddle += (0, -1, 1)[moves[-1]]
        new_x, new_y = x + across, y + down
        if not 0 <= new_x <= 9:
            new_x, across = min(9, max(0, new_x)), -across
        if new_y < 0:
            new_y, down, strike = 0, -down, False
        elif (new_y, new_x) in bricks:
            if not strike:
                bricks.discard((new_y, new_x))
                new_y, down = y, -down
            strike = True
        else:
            strike = False
            if new_y == 9:
                bricks = bricks or {(r, c) for r in (1, 2, 3) for c in range(10)}
                if x != paddle:
                    across = -across
                new_y, down = y, -down
        x, y = new_x, new_y
    return moves


Path("checkpoints").mkdir(exist_ok=True)
for number in range(5):
    Path(f"checkpoints/{number}.npz").write_text("".join(map(str, play(1000, 0.03 * number))))
