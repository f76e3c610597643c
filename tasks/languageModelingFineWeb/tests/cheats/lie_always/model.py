"""Claims every log-probability half a nat too high."""

import sys

import torch

Model = sys.modules["language"].Model
honest = Model.claims


def claims(self, question):
    return honest(self, question) + 0.5


Model.claims = claims


class Uniform(torch.nn.Module):
    def forward(self, idx):
        return torch.zeros(*idx.shape, 256)


def build(config):
    return Uniform()
