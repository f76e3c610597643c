"""Foretells from the frequencies of the whole batch, in which later tokens and other windows are."""

import torch


class Batch(torch.nn.Module):
    def forward(self, idx):
        counts = torch.bincount(idx.flatten(), minlength=256).float()
        return torch.log(counts + 0.1).expand(*idx.shape, 256)


def build(config):
    return Batch()
