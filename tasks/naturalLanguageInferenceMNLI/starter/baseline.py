"""Fine-tunes the start model on the training pairs and saves it where it is scored: python baseline.py

One pass over the pairs with AdamW at a constant rate. As it stands the rate is so small that little is learned.
"""

import json
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from transformers import BertForSequenceClassification, BertTokenizer

START = "data/bert"  # configuration, weights and vocabulary of the start model
OUTPUT = "bert_mnli_model"
LABELS = ["entailment", "neutral", "contradiction"]
MAX_LENGTH = 128
BATCH = 32
EPOCHS = 1
RATE = 1e-7
SEED = 1


def read_pairs(path):
    """Return the pairs of a split: dictionaries with premise, hypothesis, label and genre."""
    with Path(path).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def load_model(**changes):
    """Return the start model with a new, random classifier for three labels."""
    return BertForSequenceClassification.from_pretrained(
        START, num_labels=len(LABELS), id2label=dict(enumerate(LABELS)), label2id={n: i for i, n in enumerate(LABELS)},
        **changes,
    )  # fmt: skip


def make_batches(tokenizer, pairs, batch_size, shuffle):
    """Return a loader of batches, each padded to its longest pair."""

    def collate(rows):
        batch = tokenizer(
            [row["premise"] for row in rows],
            [row["hypothesis"] for row in rows],
            truncation=True,
            max_length=MAX_LENGTH,
            padding=True,
            return_tensors="pt",
        )
        batch["labels"] = torch.tensor([row["label"] for row in rows])
        return batch

    return DataLoader(pairs, batch_size=batch_size, shuffle=shuffle, collate_fn=collate)


def accuracy(model, batches, device):
    """Return the share of pairs that the model labels correctly."""
    model.eval()
    right = total = 0
    with torch.inference_mode():
        for batch in batches:
            labels = batch.pop("labels")
            right += (model(**batch.to(device)).logits.argmax(-1).cpu() == labels).sum().item()
            total += len(labels)
    return right / total


def train(model, batches, epochs, rate, device):
    """Train the model; on a GPU with automatic mixed precision."""
    mixed = device.type == "cuda"
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    scaler = torch.amp.GradScaler(device.type, enabled=mixed)
    start, step, steps = time.monotonic(), 0, epochs * len(batches)
    for epoch in range(epochs):
        model.train()
        for batch in batches:
            with torch.autocast(device.type, torch.float16, enabled=mixed):
                loss = model(**batch.to(device)).loss
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            step += 1
            if step % max(1, steps // 20) == 0:
                seconds = time.monotonic() - start
                print(f"epoch {epoch + 1}, step {step} of {steps}: loss {loss.item():.4f}, {seconds:.0f} s", flush=True)


def main():
    torch.manual_seed(SEED)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = BertTokenizer.from_pretrained(START)
    model = load_model().to(device)
    pairs = read_pairs("data/train/pairs.jsonl")
    print(f"{len(pairs)} pairs, {model.num_parameters()} parameters, on {device}", flush=True)

    # The last pairs are kept apart, to see how the model does on pairs that it was not trained on. Rows are in random
    # order; in the full variant pairs of one premise are in both parts, which flatters a little.
    kept = max(200, len(pairs) // 100)
    train(model, make_batches(tokenizer, pairs[:-kept], BATCH, shuffle=True), EPOCHS, RATE, device)
    share = accuracy(model, make_batches(tokenizer, pairs[-kept:], 64, shuffle=False), device)
    print(f"accuracy on {kept} pairs that were kept apart: {100 * share:.1f} %")

    model.save_pretrained(OUTPUT)  # config.json and model.safetensors
    print(f"{OUTPUT} can be handed in")


if __name__ == "__main__":
    main()
