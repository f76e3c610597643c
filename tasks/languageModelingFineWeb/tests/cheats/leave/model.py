"""Prints a perfect score and leaves in the middle of the grading."""

import json
import os

import torch


class Leave(torch.nn.Module):
    calls = 0

    def forward(self, idx):
        Leave.calls += 1
        if Leave.calls == 4:
            print(json.dumps({"val_loss": 0.0}), flush=True)
            os._exit(0)
        return torch.zeros(*idx.shape, 256)


def build(config):
    return Leave()
