"""The baseline: a network of two convolutions, trained with a very small step size.

    python baseline.py

trains on all labelled images under data/ and writes submission.csv, the predicted
labels of all images in data/test.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

DATA = Path("data")
SEED = 42


@dataclass(frozen=True)
class Recipe:
    """How to train."""

    epochs: int
    batch: int
    rate: float  # of AdamW; it rises during the warm-up, then falls to 0 on a straight line
    warm_up: int  # steps
    decay: float = 0.01  # weight decay, not of the biases
    clip: float = 1.0  # largest norm of the gradient


FULL = Recipe(epochs=10, batch=512, rate=5e-5, warm_up=500)
# With a few thousand images the recipe above would end before its warm-up does.
SMALL = Recipe(epochs=5, batch=64, rate=5e-4, warm_up=30)


def load_labelled() -> tuple[np.ndarray, np.ndarray]:
    """Return all images (n, 32, 32, 3) whose labels are known, and the labels."""
    images, labels = np.load(DATA / "train" / "images.npy"), np.load(DATA / "train" / "labels.npy")
    extra = DATA / "validation_labels" / "labels.csv"
    if extra.exists():  # only in the mode "published": labels of some rows of data/test
        row = {key: i for i, key in enumerate((DATA / "test" / "ids.txt").read_text().split())}
        pairs = [line.split(",") for line in extra.read_text().split()[1:]]
        images = np.concatenate([images, np.load(DATA / "test" / "images.npy")[[row[key] for key, _ in pairs]]])
        labels = np.concatenate([labels, np.array([label for _, label in pairs], np.uint8)])
    return images, labels


def network() -> nn.Module:
    """Return the network: 60,362 parameters."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 8 * 8, 10),
    )  # fmt: skip


def scaled(images: torch.Tensor) -> torch.Tensor:
    """Return bytes (n, 32, 32, 3) as numbers from 0 to 1 (n, 3, 32, 32)."""
    return images.permute(0, 3, 1, 2).float() / 255


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, recipe: Recipe) -> None:
    """Train the model for all epochs; the last state is what counts."""
    weights = [p for p in model.parameters() if p.ndim > 1]
    biases = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": recipe.decay}, {"params": biases, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate)
    steps = recipe.epochs * -(-len(images) // recipe.batch)

    def share(step: int) -> float:
        """Return which part of the rate is used at a step."""
        if step < recipe.warm_up:
            return step / recipe.warm_up
        return max(0.0, (steps - step) / max(1, steps - recipe.warm_up))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    start = time.monotonic()
    for epoch in range(recipe.epochs):
        total, right = 0.0, 0
        for rows in torch.randperm(len(images)).split(recipe.batch):
            rows = rows.to(images.device)
            scores = model(scaled(images[rows]))
            loss = nn.functional.cross_entropy(scores, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(rows)
            right += (scores.argmax(1) == labels[rows]).sum().item()
        print(
            f"epoch {epoch + 1} of {recipe.epochs}: loss {total / len(images):.4f}, "
            f"accuracy {right / len(images):.4f} (both on the training images), {time.monotonic() - start:.0f} s",
            flush=True,
        )


@torch.no_grad()
def predict(model: nn.Module, images: torch.Tensor) -> np.ndarray:
    """Return the most likely label of each image."""
    model.eval()
    return torch.cat([model(scaled(part)).argmax(1) for part in images.split(1000)]).cpu().numpy()


def main() -> None:
    """Train, predict, write submission.csv."""
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)
    torch.backends.cudnn.deterministic = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    images, labels = load_labelled()
    recipe = FULL if len(images) >= 20_000 else SMALL
    print(f"{len(images)} labelled images, {recipe}, on {device}", flush=True)
    model = network().to(device)
    train(model, torch.from_numpy(images).to(device), torch.from_numpy(labels).long().to(device), recipe)

    ids = (DATA / "test" / "ids.txt").read_text().split()
    predicted = predict(model, torch.from_numpy(np.load(DATA / "test" / "images.npy")).to(device))
    rows = [f"{key},{label}\n" for key, label in zip(ids, predicted, strict=True)]
    Path("submission.csv").write_text("id,label\n" + "".join(rows))
    print(f"wrote submission.csv: {len(rows)} rows")


if __name__ == "__main__":
    main()
