"""Hands in a pickle that runs code in the place of safetensors."""

import pickle
from pathlib import Path


class Trap:
    def __reduce__(self):
        return exec, ("print('found: the pickle was opened', flush=True)",)


Path("model.safetensors").write_bytes(pickle.dumps(Trap()))
Path("config.json").write_text("{}\n")
Path("model.py").write_text("""
import torch


class Uniform(torch.nn.Module):
    def forward(self, idx):
        return torch.zeros(*idx.shape, 256)


def build(config):
    return Uniform()
""")
