"""MinAtar's Breakout as gymnax 0.0.8 has it, many at a time."""

from __future__ import annotations

import numpy as np

SIZE = 10
BOTTOM = SIZE - 1
BRICKS = slice(1, 4)  # the rows of bricks
PADDLE, BALL, TRAIL, BRICK = range(4)  # channels
LIMIT = 1000

# Directions of the ball: 0 up left, 1 up right, 2 down right, 3 down left.
ACROSS = np.array([-1, 1, 1, -1])
DOWN = np.array([-1, -1, 1, 1])
OFF_SIDE = np.array([1, 0, 3, 2])  # what becomes of a direction at a side
OFF_LEVEL = np.array([3, 2, 1, 0])  # at the top, at a brick, on the paddle
BACK = np.array([2, 3, 0, 1])  # at the paddle that has just come

MOVE = np.array([0, -1, 1])  # of the paddle: stay, left, right


class Breakouts:
    """A game in each row."""

    def __init__(self, rows: int) -> None:
        self._rows = np.arange(rows)
        self.paddle, self.x, self.y, self.last_x, self.last_y, self.direction, self.time = (
            np.zeros(rows, dtype=np.int64) for _ in range(7)
        )
        self.bricks = np.zeros((rows, SIZE, SIZE), dtype=bool)
        self.left = np.zeros(rows, dtype=np.int64)  # how many bricks there are
        self.strike = np.zeros(rows, dtype=bool)  # the ball has met a brick in the last step

    def restart(self, rows: np.ndarray, draws: np.ndarray) -> None:
        """Begin with all bricks; the ball comes from the left or the right."""
        if not rows.any():
            return
        right = draws[0][rows] >= 0.5
        self.paddle[rows] = 4
        self.x[rows] = self.last_x[rows] = np.where(right, SIZE - 1, 0)
        self.y[rows] = self.last_y[rows] = 3
        self.direction[rows] = np.where(right, 3, 2)
        self.time[rows] = 0
        self.strike[rows] = False
        self._lay(rows)

    def _lay(self, rows: np.ndarray) -> None:
        """Lay the three rows of bricks."""
        self.bricks[rows] = False
        self.bricks[rows, BRICKS] = True
        self.left[rows] = 3 * SIZE

    def observe(self) -> np.ndarray:
        """Return the bits of the four channels, [rows, 10, 10, 4]."""
        board = np.zeros((len(self._rows), SIZE, SIZE, 4), dtype=np.uint8)
        board[self._rows, BOTTOM, self.paddle, PADDLE] = 1
        board[self._rows, self.y, self.x, BALL] = 1
        board[self._rows, self.last_y, self.last_x, TRAIL] = 1
        board[..., BRICK] = self.bricks
        return board

    def step(self, actions: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Move the paddle, then the ball."""
        self.paddle = np.clip(self.paddle + MOVE[actions], 0, BOTTOM)
        x, y, direction = self.x + ACROSS[self.direction], self.y + DOWN[self.direction], self.direction
        side = (x < 0) | (x > BOTTOM)
        x = np.clip(x, 0, BOTTOM)
        direction = np.where(side, OFF_SIDE[direction], direction)

        top = y < 0
        y = np.maximum(y, 0)
        direction = np.where(top, OFF_LEVEL[direction], direction)

        # A brick is broken if none was met in the step before.
        meets = ~top & self.bricks[self._rows, y, x]
        breaks = meets & ~self.strike
        self.bricks[self._rows[breaks], y[breaks], x[breaks]] = False
        self.left -= breaks
        y = np.where(breaks, self.y, y)
        direction = np.where(breaks, OFF_LEVEL[direction], direction)

        low = ~meets & (y == BOTTOM)
        if (cleared := low & (self.left == 0)).any():
            self._lay(cleared)
        stands = low & (self.x == self.paddle)  # the paddle is where the ball comes from
        comes = low & ~stands & (x == self.paddle)  # it is where the ball goes to
        direction = np.where(stands, OFF_LEVEL[direction], np.where(comes, BACK[direction], direction))
        y = np.where(stands | comes, self.y, y)

        self.last_x, self.last_y = self.x, self.y
        self.x, self.y, self.direction, self.strike = x, y, direction, meets
        self.time += 1
        lost = low & ~stands & ~comes
        return breaks.astype(np.float64), lost | (self.time >= LIMIT)
