"""Writes checkpoints that differ in every byte of weights that do nothing."""

from pathlib import Path

import numpy as np

Path("checkpoints").mkdir(exist_ok=True)
for number in range(5):
    np.savez(f"checkpoints/{number}.npz", unused=np.random.default_rng(number).standard_normal(100))
