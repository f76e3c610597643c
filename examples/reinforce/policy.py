"""REINFORCE for a Gaussian policy without an input."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass
class GaussianPolicy:
    """Draws parameters from independent normal distributions, and learns their means and spreads.

    `learning_rate` is that of the means, in spreads: where a draw one spread away
    from the mean is one deviation better than the others, the mean moves by so much
    of a spread. `spread_rate` is that of the spreads' logarithms. With both 0 it
    only draws. `least` bounds the spreads from below, so that it never stops exploring.
    """

    size: int
    spread: float
    learning_rate: float
    spread_rate: float
    least: float = 0.05
    mean: Array = field(init=False)
    log_spread: Array = field(init=False)

    def __post_init__(self) -> None:
        self.mean = np.zeros(self.size)
        self.log_spread = np.full(self.size, np.log(self.spread))

    def draw(self, random: np.random.Generator, n: int) -> Array:
        """Returns n actions, one in each row."""
        return self.mean + np.exp(self.log_spread) * random.standard_normal((n, self.size))

    def update(self, actions: Array, rewards: Array) -> None:
        """Learns from actions drawn since the last update and what each earned.

        The estimator is (R_i - b_i) * grad log p(a_i), averaged over the batch, where the
        baseline b_i is the mean reward of the other actions (Kool, van Hoof and Welling,
        "Buy 4 REINFORCE samples, get a baseline for free!", 2019) and all are divided by
        the deviation of the batch, so that one learning rate does for every task. The
        gradient is preconditioned by the squared spreads, which for the mean of a normal
        distribution makes it the natural one.
        """
        n = len(rewards)
        if n < 2:
            return  # nothing to compare with
        others = (rewards.sum() - rewards) / (n - 1)
        advantages = (rewards - others) / (rewards.std() + 1e-3)
        spread = np.exp(self.log_spread)
        standard = (actions - self.mean) / spread
        self.mean = self.mean + self.learning_rate * spread * (advantages[:, None] * standard).mean(axis=0)
        step = self.spread_rate * (advantages[:, None] * (standard**2 - 1)).mean(axis=0)
        self.log_spread = np.maximum(self.log_spread + step, np.log(self.least))
