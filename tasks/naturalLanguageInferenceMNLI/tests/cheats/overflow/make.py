"""Has weights so large, each finite, that the logits are not."""

import json
import os

import numpy as np
from safetensors.numpy import load_file, save_file

os.makedirs("bert_mnli_model", exist_ok=True)
config = json.load(open("data/bert/config.json"))
config |= {"architectures": ["BertForSequenceClassification"], "num_labels": 3}
weights = load_file("data/bert/model.safetensors")
draw = np.random.default_rng(1)
weights["classifier.weight"] = draw.normal(0, 0.02, (3, config["hidden_size"])).astype(np.float32)
weights["classifier.bias"] = np.zeros(3, np.float32)
weights["classifier.weight"][:] = 3e38
weights["bert.pooler.dense.weight"][:] = 3e38
json.dump(config, open("bert_mnli_model/config.json", "w"))
save_file(weights, "bert_mnli_model/model.safetensors")
