"""Scores a fine-tuned BERT: the share of pairs that it labels as people did, in percent.

Nothing of the submission is run. Its configuration is read by config.py, its weights
by mlgym_grader.weights; the model is transformers' own BertForSequenceClassification,
the tokenizer that of the data set. Pairs of about the same length make a batch, and
each batch is padded to its longest pair: the mask keeps padding out of every sum, so
that the logits are those with padding to 128, up to rounding.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # without it products on a GPU may differ from run to run
os.environ["HF_HUB_OFFLINE"] = "1"

import config
import torch
from mlgym_grader import Invalid, Result, Session
from mlgym_grader.weights import Weights
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

FOLDER = "bert_mnli_model"
BATCH = 32


def grade(session: Session) -> Result:
    """Score the validation pairs or the test pairs; as published, always the test pairs."""
    split = "test_pairs" if session.kind == "submit" or session.mode == "published" else "validation_pairs"
    pairs = read_pairs(session.data / split / "pairs.jsonl")
    torch.use_deterministic_algorithms(True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    limits, folder = session.parameters, session.submission / FOLDER
    tokenizer = BertTokenizer.from_pretrained(session.data / "bert", local_files_only=True)
    values = config.read(folder / "config.json", len(tokenizer), limits)
    model = build(values, folder / "model.safetensors").to(device)
    right = count_right(model, tokenizer, pairs, limits["max_length"], device)

    share = right / len(pairs)
    error = math.sqrt(share * (1 - share) / len(pairs))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    details = {"standard_error": 100 * error, "rows": len(pairs), "parameters": parameters}
    return Result({"validation_accuracy": 100 * share}, details)


def read_pairs(path: Path) -> list[dict[str, Any]]:
    """Return the pairs of a split."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def build(values: dict[str, Any], weights: Path) -> BertForSequenceClassification:
    """Return the model with the submitted weights."""
    made = BertConfig(**values, num_labels=len(config.LABELS))
    made._attn_implementation = "eager"  # the same products on every machine
    with torch.device("meta"):  # without memory, for names and shapes
        wanted = BertForSequenceClassification(made).state_dict()
    read = Weights(weights, {name: tuple(tensor.shape) for name, tensor in wanted.items()})
    model = BertForSequenceClassification(made)
    state = model.state_dict()
    for name, tensor in read:
        state[name].copy_(torch.from_numpy(tensor))
    return model.float().eval()


def count_right(
    model: BertForSequenceClassification,
    tokenizer: BertTokenizer,
    pairs: Sequence[dict[str, Any]],
    max_length: int,
    device: torch.device,
) -> int:
    """Return how many pairs get their label."""
    encoded = tokenizer(
        [pair["premise"] for pair in pairs],
        [pair["hypothesis"] for pair in pairs],
        truncation=True,
        max_length=max_length,
    )
    lengths = [len(ids) for ids in encoded["input_ids"]]
    order = sorted(range(len(pairs)), key=lambda i: (lengths[i], i))
    right = 0
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        batch = tokenizer.pad({key: [values[i] for i in rows] for key, values in encoded.items()}, return_tensors="pt")
        with torch.inference_mode():
            logits = model(**batch.to(device)).logits
        if not torch.isfinite(logits).all():
            raise Invalid("The model's outputs are not all finite: its weights are too large.")
        labels = torch.tensor([pairs[i]["label"] for i in rows], device=device)
        right += int((logits.argmax(-1) == labels).sum())
        if start // BATCH % 20 == 0:
            print(f"{start + len(rows)} of {len(order)} pairs", file=sys.stderr)
    return right
