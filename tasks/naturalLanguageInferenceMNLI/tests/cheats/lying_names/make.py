"""Calls all three outputs entailment, neutral and contradiction in turn, so that one of the names is always right."""

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
config["id2label"] = {"0": "entailment", "1": "entailment", "2": "entailment"}
config["label2id"] = {"entailment": 0, "neutral": 0, "contradiction": 0}
json.dump(config, open("bert_mnli_model/config.json", "w"))
save_file(weights, "bert_mnli_model/model.safetensors")
