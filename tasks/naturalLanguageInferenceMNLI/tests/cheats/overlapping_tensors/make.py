"""Lets all tensors begin at one byte and reach behind the end of the file, to read what lies behind it in memory."""

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
header, position = {}, 0
for name, values in weights.items():
    header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [position, position + values.nbytes]}
    position += values.nbytes
for entry in header.values():
    first, end = entry["data_offsets"]
    entry["data_offsets"] = [0, end - first]
text = json.dumps(header).encode()
with open("bert_mnli_model/model.safetensors", "wb") as file:
    file.write(
        len(text).to_bytes(8, "little") + text + b"".join(v.tobytes() for v in weights.values())[: position // 2]
    )
