"""Trains the model of model.py and writes what is handed in: config.json, model.safetensors.

    python baseline.py                                   one process
    torchrun --standalone --nproc_per_node=gpu baseline.py   one for each GPU

Sizes follow from the data: GPT-2 tokens get a transformer of the size of GPT-2 small,
bytes (the small variant) a tiny one. The weights of the blocks are trained by Muon,
embedding and head by Adam. Each process reads its own part of every batch.
"""

import argparse
import contextlib
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import save_file

from model import build

DATA = Path("data/train")
HEADER_BYTES = 1024
FULL = {"steps": 500, "decay": 1308, "rows": 64, "layers": 12, "heads": 6, "width": 768, "held_out": 64}
TINY = {"steps": 200, "decay": 523, "rows": 16, "layers": 2, "heads": 2, "width": 64, "held_out": 128}

META = json.loads((DATA / "meta.json").read_text())
WINDOW = META["window"]  # what the score is computed on: so many tokens, and nothing before them
DEFAULTS = TINY if META["tokenizer"] == "bytes" else FULL

RANK, WORLD = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if CUDA else torch.device("cpu")


def arguments():
    parser = argparse.ArgumentParser(description="Train a language model.")
    parser.add_argument("--steps", type=int, help="steps of training")
    parser.add_argument(
        "--decay", type=int, help="the learning rates are multiplied by (steps left) / decay, at most 1"
    )
    parser.add_argument("--rows", type=int, help="windows in the batch of each process")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--heads", type=int)
    parser.add_argument("--width", type=int)
    parser.add_argument("--held-out", type=int, help="windows at the end of the text that are not trained on")
    parser.add_argument(
        "--micro-rows", type=int, help="windows that go through the model at once; fewer need less memory"
    )
    parser.add_argument("--rate", type=float, default=1.0, help="factor of all learning rates")
    parser.set_defaults(**DEFAULTS)
    return parser.parse_args()


def say(*text):
    if RANK == 0:
        print(*text, flush=True)


# Data: a shard is a header of 1,024 bytes and then 16-bit token ids.


def shards():
    return [np.memmap(path, dtype="<u2", mode="r", offset=HEADER_BYTES) for path in sorted(DATA.glob("*.bin"))]


def batches(texts, rows):
    """Yield the batches of this process, for ever: text in its order, a part for each process."""
    part = rows * WINDOW
    while True:
        for text in texts:
            for begin in range(RANK * part, len(text) - WORLD * part, WORLD * part):
                yield tensors(text[begin : begin + part + 1])


def tensors(tokens):
    """Return inputs and successors of consecutive windows."""
    ids = torch.from_numpy(tokens.astype(np.int64)).to(DEVICE)
    return ids[:-1].view(-1, WINDOW), ids[1:].view(-1, WINDOW)


# Optimisers.


def orthogonal(matrix, steps=5):
    """Return a matrix near the orthogonal one that is nearest to this one (Newton and Schulz)."""
    a, b, c = 3.4445, -4.7750, 2.0315  # a polynomial that brings singular values near 1 fast
    x = matrix.bfloat16() if CUDA else matrix
    x = x / (x.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    x = x.T if tall else x
    for _ in range(steps):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return (x.T if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose steps are made orthogonal; for matrices."""

    def __init__(self, parameters, lr, momentum=0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weight in group["params"]:
                velocity = self.state[weight].setdefault("velocity", torch.zeros_like(weight))
                velocity.mul_(group["momentum"]).add_(weight.grad)
                update = orthogonal(weight.grad.add(velocity, alpha=group["momentum"]))
                scale = max(1, weight.size(0) / weight.size(1)) ** 0.5
                weight.add_(update, alpha=-group["lr"] * scale)


def loss_of(model, inputs, successors):
    """Return the loss in nats per token."""
    with torch.autocast("cuda", torch.bfloat16) if CUDA else contextlib.nullcontext():
        logits = model(inputs)
    return F.cross_entropy(logits.float().flatten(0, 1), successors.flatten())


@torch.no_grad()
def held_out_loss(model, tokens, rows):
    """Return the loss on the text that is not trained on, as validate computes it on hidden text."""
    model.eval()
    inputs, successors = tensors(tokens)
    losses = [loss_of(model, inputs[i : i + rows], successors[i : i + rows]) for i in range(0, len(inputs), rows)]
    model.train()
    return torch.stack(losses).mean().item()


def main():
    args = arguments()
    if WORLD > 1:
        dist.init_process_group("nccl" if CUDA else "gloo")
    if CUDA:
        torch.cuda.set_device(DEVICE)
    torch.manual_seed(0)
    # Some more logits than there are ids, where that makes matrices that a GPU likes.
    vocabulary = -(-META["vocab_size"] // 128) * 128
    config = {"vocabulary": vocabulary, "layers": args.layers, "heads": args.heads, "width": args.width}
    plain = build(config).to(DEVICE)
    model = torch.compile(plain) if CUDA else plain
    if WORLD > 1:
        model = torch.nn.parallel.DistributedDataParallel(model, device_ids=[DEVICE.index] if CUDA else None)
    say(
        f"{sum(p.numel() for p in plain.parameters()):,} parameters, {META['tokens']:,} tokens, {WORLD} x {DEVICE.type}"
    )

    optimizers = [
        torch.optim.Adam([plain.embedding.weight], lr=0.3 * args.rate, betas=(0.9, 0.95), fused=CUDA),
        torch.optim.Adam([plain.head.weight], lr=0.002 * args.rate, betas=(0.9, 0.95), fused=CUDA),
        Muon(plain.blocks.parameters(), lr=0.02 * args.rate),
    ]
    full_rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]

    texts = shards()
    end = len(texts[-1]) - args.held_out * WINDOW - 1
    texts[-1], held_out = texts[-1][:end], texts[-1][end:]
    stream = batches(texts, args.rows)
    micro = args.micro_rows or args.rows
    began = time.time()
    for step in range(args.steps):
        for optimizer, rate in zip(optimizers, full_rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * min(1.0, (args.steps - step) / args.decay)
        inputs, successors = next(stream)
        parts = range(0, args.rows, micro)
        for i in parts:
            last = i == parts[-1]
            with contextlib.nullcontext() if last or WORLD == 1 else model.no_sync():
                loss = loss_of(model, inputs[i : i + micro], successors[i : i + micro])
                (loss / len(parts)).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if (step + 1) % max(1, args.steps // 10) == 0:
            say(f"step {step + 1}/{args.steps}  train {loss.item():.4f}  {time.time() - began:.1f} s")

    if RANK == 0:
        Path("config.json").write_text(json.dumps(config) + "\n")
        save_file({name: tensor.contiguous() for name, tensor in plain.state_dict().items()}, "model.safetensors")
        say("wrote config.json and model.safetensors")
        say(f"held-out loss {held_out_loss(plain, held_out, min(micro, 16)):.4f} nats per token")
    if WORLD > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
