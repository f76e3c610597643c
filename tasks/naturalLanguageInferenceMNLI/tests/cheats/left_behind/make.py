"""Leaves a process that swaps the files for as long as it lives, between any check and any reading."""

import json
import os
import time

import numpy as np
from safetensors.numpy import load_file, save_file

os.makedirs("bert_mnli_model", exist_ok=True)
config = json.load(open("data/bert/config.json"))
config |= {"architectures": ["BertForSequenceClassification"], "num_labels": 3}
weights = load_file("data/bert/model.safetensors")
draw = np.random.default_rng(1)
weights["classifier.weight"] = draw.normal(0, 0.02, (3, config["hidden_size"])).astype(np.float32)
weights["classifier.bias"] = np.zeros(3, np.float32)
json.dump(config, open("bert_mnli_model/config.json", "w"))
save_file(weights, "bert_mnli_model/model.safetensors")
if os.fork() == 0:
    os.setsid()
    for descriptor in range(3):
        os.close(descriptor)
    end = time.monotonic() + 60
    weights["classifier.weight"][:] = np.nan
    while time.monotonic() < end:
        json.dump(config | {"auto_map": {"AutoModel": "mine.Mine"}}, open("bert_mnli_model/config.new", "w"))
        os.replace("bert_mnli_model/config.new", "bert_mnli_model/config.json")
        save_file(weights, "bert_mnli_model/model.new")
        os.replace("bert_mnli_model/model.new", "bert_mnli_model/model.safetensors")
        os.remove("bert_mnli_model/model.safetensors")
        os.symlink("/home/agent/data/test_pairs/pairs.jsonl", "bert_mnli_model/model.safetensors")
