"""Gives everything to the next input token, which it can see for all positions but the last."""

import torch
import torch.nn.functional as F  # noqa: N812


class LookAhead(torch.nn.Module):
    def forward(self, idx):
        return 30.0 * F.one_hot(torch.roll(idx, -1, dims=1), 256).float()


def build(config):
    return LookAhead()
