"""Replaces what answers the claims: every log-probability is 0."""

import sys

import torch

Model = sys.modules["language"].Model
honest = Model.claims


def claims(self, question):
    return honest(self, question) * 0.0


Model.claims = claims


class Uniform(torch.nn.Module):
    def forward(self, idx):
        return torch.zeros(*idx.shape, 256)


def build(config):
    return Uniform()
