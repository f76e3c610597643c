"""Prepares a BERT to start from: the published one, or a tiny one with random weights.

The split bert is a folder that from_pretrained reads, for the model as for the
tokenizer, which lower-cases and splits words into the pieces of vocab.txt.

small has BERT's form and file format. Its weights are random, the same everywhere,
and five times as large as BERT's at the start of its pretraining: so small a network
learns faster from them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from mlgym_dataset import Preparation, run

# The published files.
FILES = {
    "config.json": "7160e1553ad2ca51d8c1cb066be533db31826e12d173824c1bb0cb1a4f187d20",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    "model.safetensors": "68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3",
}
TOKENIZER = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}

SMALL_VOCABULARY = "small_vocabulary.txt"
LAYERS, WIDTH, HEADS, INNER, POSITIONS = 2, 64, 4, 256, 128
SPREAD = 0.1  # standard deviation of the weights
PUBLIC_SEED = 20181011


def config(vocabulary: int) -> dict[str, object]:
    """Return the configuration of the tiny BERT."""
    return {
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "intermediate_size": INNER,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": POSITIONS,
        "model_type": "bert",
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "vocab_size": vocabulary,
    }


def shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of the tiny BERT, under the names that transformers gives them."""
    made: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (vocabulary, WIDTH),
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
    }
    dense = {"pooler.dense": (WIDTH, WIDTH)}
    norms = ["embeddings.LayerNorm"]
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}"
        dense |= {f"{layer}.attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")}
        dense[f"{layer}.attention.output.dense"] = (WIDTH, WIDTH)
        dense[f"{layer}.intermediate.dense"] = (INNER, WIDTH)
        dense[f"{layer}.output.dense"] = (WIDTH, INNER)
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name, shape in dense.items():
        made |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in norms:
        made |= {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}
    return {f"bert.{name}": shape for name, shape in made.items()}


def weights(vocabulary: int) -> bytes:
    """Return a safetensors file with random weights."""
    draw = np.random.default_rng(PUBLIC_SEED)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, shape in shapes(vocabulary).items():
        if name.endswith("bias"):
            values = np.zeros(shape)
        elif "LayerNorm" in name:
            values = np.ones(shape)
        else:
            values = draw.normal(0, SPREAD, shape)
        stored = values.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [len(data), len(data) + len(stored)]}
        data += stored
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def prepare(p: Preparation) -> None:
    """Prepare either variant."""
    folder = p.split("bert")
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER, indent=2) + "\n", encoding="utf-8")
    if p.variant == "full":
        for name, sha256 in FILES.items():
            p.progress(f"checking {name}")
            shutil.copyfile(p.file(name, sha256), folder / name)
        return
    vocabulary = (Path(__file__).parent / SMALL_VOCABULARY).read_text(encoding="utf-8")
    (folder / "vocab.txt").write_text(vocabulary, encoding="utf-8")
    size = len(vocabulary.splitlines())
    (folder / "config.json").write_text(json.dumps(config(size), indent=2) + "\n", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(weights(size))


if __name__ == "__main__":
    run(prepare)
