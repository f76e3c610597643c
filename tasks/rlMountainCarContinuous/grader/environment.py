"""The continuous mountain car of gymnax 0.0.8, many at a time, in float32 as there."""

from __future__ import annotations

import numpy as np

FORCE, GRAVITY, SPEED = np.float32(0.0015), np.float32(0.0025), np.float32(0.07)
LEFT, RIGHT, GOAL = np.float32(-1.2), np.float32(0.6), np.float32(0.45)
LIMIT = 999


class MountainCars:
    """A car in each row."""

    def __init__(self, rows: int) -> None:
        self.position = np.zeros(rows, dtype=np.float32)
        self.velocity = np.zeros(rows, dtype=np.float32)
        self.time = np.zeros(rows, dtype=np.int64)

    def restart(self, rows: np.ndarray, draws: np.ndarray) -> None:
        """Put cars at rest into the valley, between -0.6 and -0.4."""
        self.position[rows] = -0.6 + 0.2 * draws[0][rows]
        self.velocity[rows] = 0
        self.time[rows] = 0

    def observe(self) -> np.ndarray:
        """Return position and velocity of each car."""
        return np.stack([self.position, self.velocity], axis=1)

    def step(self, actions: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Push. The force is the clipped action, the cost is that of the action as it is."""
        actions = actions.astype(np.float32)
        force = np.clip(actions, np.float32(-1), np.float32(1))
        velocity = self.velocity + force * FORCE - np.cos(3 * self.position) * GRAVITY
        velocity = np.clip(velocity, -SPEED, SPEED)
        position = np.clip(self.position + velocity, LEFT, RIGHT)
        velocity[(position >= GOAL) & (velocity < 0)] = 0  # not so at the wall on the left
        self.position, self.velocity = position, velocity
        self.time += 1
        goal = (position >= GOAL) & (velocity >= 0)
        rewards = -0.1 * actions.astype(np.float64) ** 2 + 100 * goal
        return rewards, goal | (self.time >= LIMIT)
