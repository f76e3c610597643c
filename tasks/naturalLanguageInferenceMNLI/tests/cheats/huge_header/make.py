"""Claims a header of 400 MB, and has it: nested lists, which take many times as much memory once they are read."""

import json
import os

import numpy as np
from safetensors.numpy import load_file

os.makedirs("bert_mnli_model", exist_ok=True)
config = json.load(open("data/bert/config.json"))
config |= {"architectures": ["BertForSequenceClassification"], "num_labels": 3}
weights = load_file("data/bert/model.safetensors")
draw = np.random.default_rng(1)
weights["classifier.weight"] = draw.normal(0, 0.02, (3, config["hidden_size"])).astype(np.float32)
weights["classifier.bias"] = np.zeros(3, np.float32)
json.dump(config, open("bert_mnli_model/config.json", "w"))
with open("bert_mnli_model/model.safetensors", "wb") as file:
    file.write((400_000_000).to_bytes(8, "little") + b'{"a":')
    for _ in range(400):
        file.write(b"[" * 1_000_000)
