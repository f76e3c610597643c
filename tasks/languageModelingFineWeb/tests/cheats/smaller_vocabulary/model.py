"""Knows only 128 ids, which makes each of them cheaper."""

import torch


class Ascii(torch.nn.Module):
    def forward(self, idx):
        return torch.zeros(*idx.shape, 128)


def build(config):
    return Ascii()
