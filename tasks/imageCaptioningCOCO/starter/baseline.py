"""The baseline: a small convolutional network that a recurrent one reads captions from.

python baseline.py trains on data/train, prints the score on pictures held out of it,
and writes submission.csv. Nothing is pretrained. --help lists the settings.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections import Counter

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads would slow down a busy machine

import numpy as np
import torch
from captions import bleu4_corpus, load_images, read_index, tokens, write_submission
from torch import nn

PAD, START, END, UNKNOWN = range(4)


class Captioner(nn.Module):
    """Encodes a picture into a vector, and writes words one after the other."""

    def __init__(self, words: int, hidden: int, width: int = 32) -> None:
        super().__init__()
        blocks, channels = [], 3
        for out in (width, 2 * width, 2 * width, 4 * width):
            blocks += [nn.Conv2d(channels, out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
            channels = out
        # A grid of 3 x 3 is left of the picture, so that the words can tell where things are.
        self.encoder = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(9 * channels, hidden))
        self.embedding = nn.Embedding(words, hidden // 2, padding_idx=PAD)
        self.decoder = nn.GRU(hidden // 2 + hidden, hidden, batch_first=True)
        self.output = nn.Linear(hidden, words)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Return a vector for each picture, given as uint8 of (batch, side, side, 3)."""
        return torch.relu(self.encoder(images.permute(0, 3, 1, 2).float() / 127.5 - 1))

    def forward(self, features: torch.Tensor, ids: torch.Tensor, state: torch.Tensor | None = None):
        """Return the scores of each next word, and the state after the last one."""
        seen = features.unsqueeze(1).expand(-1, ids.shape[1], -1)
        steps, state = self.decoder(torch.cat([self.embedding(ids), seen], 2), state)
        return self.output(steps), state

    @torch.no_grad()
    def write(self, images: torch.Tensor, longest: int) -> torch.Tensor:
        """Write a caption for each picture, always with the likeliest next word."""
        features, state = self.encode(images), None
        word = torch.full((len(images), 1), START, device=images.device)
        written, ended = [], torch.zeros_like(word, dtype=torch.bool)
        for _ in range(longest):
            scores, state = self(features, word, state)
            scores[:, :, [PAD, START, UNKNOWN]] = -torch.inf
            word = scores.argmax(2)
            written.append(word)
            ended |= word == END
            if ended.all():
                break
        return torch.cat(written, 1)


def make_vocabulary(rows: list[dict], rare: int) -> list[str]:
    """Return the words that stand often enough in the captions, behind four marks."""
    counts = Counter(token for row in rows for caption in row["captions"] for token in tokens(caption))
    return ["<pad>", "<start>", "<end>", "<unknown>", *sorted(t for t, n in counts.items() if n >= rare)]


def batch_of_captions(chosen: list[list[int]], device: torch.device) -> torch.Tensor:
    """Return captions as one tensor, filled up with PAD."""
    longest = max(map(len, chosen))
    return torch.tensor([ids + [PAD] * (longest - len(ids)) for ids in chosen], device=device)


def train(model: Captioner, images: np.ndarray, captions: list[list[list[int]]], settings, device) -> None:
    """Train on one caption of each picture per epoch, drawn at random."""
    steps = settings.epochs * -(-len(images) // settings.batch)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.rate, total_steps=steps, pct_start=0.2)
    started = time.monotonic()
    for epoch in range(1, settings.epochs + 1):
        model.train()
        order, losses = np.random.permutation(len(images)), []
        for start in range(0, len(order), settings.batch):
            rows = order[start : start + settings.batch]
            ids = batch_of_captions([random.choice(captions[row]) for row in rows], device)
            scores, _ = model(model.encode(torch.from_numpy(images[rows]).to(device)), ids[:, :-1])
            loss = nn.functional.cross_entropy(scores.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=PAD)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch}: loss {np.mean(losses):.3f}, {time.monotonic() - started:.0f} s", flush=True)


def caption(model: Captioner, images: np.ndarray, vocabulary: list[str], settings, device) -> list[str]:
    """Return a caption for each picture."""
    model.eval()
    texts = []
    for start in range(0, len(images), settings.batch):
        batch = torch.from_numpy(images[start : start + settings.batch]).to(device)
        for ids in model.write(batch, settings.longest).tolist():
            ids = ids[: ids.index(END)] if END in ids else ids
            texts.append(" ".join(vocabulary[i] for i in ids) or "a")
    return texts


def main() -> None:
    """Train, look at the score on held-out pictures, and write the submission."""
    rows = read_index("train")
    few = len(rows) < 10_000
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8 if few or torch.cuda.is_available() else 3)
    parser.add_argument("--side", type=int, default=48 if few else 96, help="pixels of a picture")
    parser.add_argument("--hidden", type=int, default=192 if few else 512, help="width of the recurrent network")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--rare", type=int, default=5, help="words with fewer occurrences are unknown")
    parser.add_argument("--longest", type=int, default=30, help="words of a caption")
    parser.add_argument("--seed", type=int, default=42)
    settings = parser.parse_args()
    random.seed(settings.seed)
    np.random.seed(settings.seed)
    torch.manual_seed(settings.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    held_out = rows[-min(2000, len(rows) // 10) :]
    rows = rows[: -len(held_out)]
    vocabulary = make_vocabulary(rows, settings.rare)
    number = {word: i for i, word in enumerate(vocabulary)}
    captions = [
        [[START, *(number.get(t, UNKNOWN) for t in tokens(c)[: settings.longest]), END] for c in row["captions"]]
        for row in rows
    ]
    images = load_images("train", rows, settings.side)
    print(f"{len(rows)} pictures to learn from, {len(vocabulary)} words, on {device}", flush=True)

    model = Captioner(len(vocabulary), settings.hidden).to(device)
    train(model, images, captions, settings, device)

    texts = caption(model, load_images("train", held_out, settings.side), vocabulary, settings, device)
    score = bleu4_corpus(texts, [row["captions"] for row in held_out])
    print(f"bleu4_corpus on {len(held_out)} held-out pictures: {score:.4f}", flush=True)

    test = read_index("test")
    texts = caption(model, load_images("test", test, settings.side), vocabulary, settings, device)
    write_submission([row["image_id"] for row in test], texts)
    print(f"wrote submission.csv with {len(texts)} captions, such as: {texts[0]}")


if __name__ == "__main__":
    main()
