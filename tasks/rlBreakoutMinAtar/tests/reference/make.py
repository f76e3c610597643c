"""Writes five checkpoints: how often the paddle is a step ahead of the ball."""

from pathlib import Path

import numpy as np

Path("checkpoints").mkdir(exist_ok=True)
for number, ahead in enumerate((0.01, 0.03, 0.05, 0.07, 0.09)):
    np.savez(f"checkpoints/{number}.npz", ahead=ahead)
