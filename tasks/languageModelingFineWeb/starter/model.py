"""The model: a decoder-only transformer without learned norms and biases.

Scoring imports this file, calls build(config) with what is in config.json, loads
model.safetensors into the module, and calls it with token ids. Keep build, and keep
what forward takes and returns; everything else is yours to change.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


def norm(x):
    """Scale vectors to a root mean square of 1; nothing is learned."""
    return F.rms_norm(x, (x.size(-1),))


class Rotary(nn.Module):
    """Turns pairs of coordinates by angles that grow with the position."""

    def __init__(self, size, base=10000.0):
        super().__init__()
        self.register_buffer("speed", base ** (-torch.arange(0, size, 2).float() / size), persistent=False)

    def forward(self, x):  # x: [B, heads, T, size]
        angle = torch.outer(torch.arange(x.size(2), device=x.device).float(), self.speed)
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        first, second = x.chunk(2, dim=-1)
        return torch.cat([first * cos + second * sin, second * cos - first * sin], dim=-1)


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.rotary = Rotary(width // heads)
        nn.init.zeros_(self.output.weight)  # a block begins as the identity

    def forward(self, x):  # x: [B, T, width]
        batch, length, width = x.shape
        q, k, v = (
            layer(x).view(batch, length, self.heads, -1).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        q, k = self.rotary(norm(q)), self.rotary(norm(k))
        mixed = F.scaled_dot_product_attention(q, k, v.to(q.dtype), is_causal=True)
        return self.output(mixed.transpose(1, 2).reshape(batch, length, width))


class MLP(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Linear(width, 4 * width, bias=False)
        self.output = nn.Linear(4 * width, width, bias=False)
        nn.init.zeros_(self.output.weight)

    def forward(self, x):
        return self.output(F.relu(self.inner(x)).square())


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attention = Attention(width, heads)
        self.mlp = MLP(width)

    def forward(self, x):
        x = x + self.attention(norm(x))
        return x + self.mlp(norm(x))


class GPT(nn.Module):
    def __init__(self, vocabulary, layers, heads, width):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.head = nn.Linear(width, vocabulary, bias=False)
        nn.init.zeros_(self.head.weight)  # training begins with equal probabilities

    def forward(self, idx):
        """Return the logits [B, T, V] of what follows each of the token ids [B, T]."""
        x = norm(self.embedding(idx))
        for block in self.blocks:
            x = block(x)
        return self.head(norm(x))


def build(config):
    """Return the module that config.json describes, before its weights are loaded."""
    return GPT(config["vocabulary"], config["layers"], config["heads"], config["width"])
