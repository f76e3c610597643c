"""Writes five checkpoints: how often a turn goes to the right, where both sides are free."""

from pathlib import Path

import numpy as np

Path("checkpoints").mkdir(exist_ok=True)
for number, right in enumerate((0.4, 0.45, 0.5, 0.55, 0.6)):
    np.savez(f"checkpoints/{number}.npz", right=right)
