"""MetaMaze of gymnax 0.0.8, many at a time."""

from __future__ import annotations

import numpy as np

SIZE = 11  # with the outer wall
WALLS = np.zeros((SIZE, SIZE), dtype=bool)
WALLS[0], WALLS[-1], WALLS[:, 0], WALLS[:, -1] = True, True, True, True
WALLS[::2, ::2] = True
FREE = np.argwhere(~WALLS)  # 65 cells, row by row
CENTRE = SIZE // 2
MOVES = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])  # up, right, down, left
REWARD = 10.0
LIMIT = 200
VIEW = np.zeros((SIZE, SIZE, 9), dtype=np.float32)  # the walls around each free cell
for _y, _x in FREE:
    VIEW[_y, _x] = WALLS[_y - 1 : _y + 2, _x - 1 : _x + 2].reshape(-1)


class MetaMazes:
    """A maze with a hidden goal in each row."""

    def __init__(self, rows: int) -> None:
        self.position = np.full((rows, 2), CENTRE)
        self.goal = np.full((rows, 2), CENTRE)
        self.action = np.zeros(rows, dtype=np.int64)
        self.reward = np.zeros(rows, dtype=np.float32)
        self.time = np.zeros(rows, dtype=np.int64)

    def restart(self, rows: np.ndarray, draws: np.ndarray) -> None:
        """Begin at the centre, with a goal somewhere."""
        self.position[rows] = CENTRE
        self.goal[rows] = _free(draws[0][rows])
        self.action[rows] = 0
        self.reward[rows] = 0
        self.time[rows] = 0

    def observe(self) -> np.ndarray:
        """Return the nine cells around, the last action (one of four), the last reward, the time."""
        view = VIEW[self.position[:, 0], self.position[:, 1]]
        last = np.eye(len(MOVES), dtype=np.float32)[self.action]
        return np.column_stack([view, last, self.reward, self.time.astype(np.float32)])

    def step(self, actions: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Move. At the goal there is a reward, and the way goes on from a random cell."""
        ahead = self.position + MOVES[actions]
        free = ~WALLS[ahead[:, 0], ahead[:, 1]]
        position = np.where(free[:, None], ahead, self.position)
        reached = (position == self.goal).all(axis=1)
        position[reached] = _free(draws[1][reached])
        self.position, self.action = position, actions.copy()
        self.reward = np.where(reached, np.float32(REWARD), np.float32(0))
        self.time += 1
        # As there, the goal ends an episode only if the random cell is the goal.
        ended = (position == self.goal).all(axis=1) | (self.time >= LIMIT)
        return self.reward.astype(np.float64), ended


def _free(draws: np.ndarray) -> np.ndarray:
    """Return a free cell for each number from [0, 1)."""
    return FREE[(draws * len(FREE)).astype(np.int64)]
