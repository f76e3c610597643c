"""Hands in a named pipe as the weights, which would block whoever reads it."""

import json
import os

os.makedirs("bert_mnli_model", exist_ok=True)
config = json.load(open("data/bert/config.json"))
config |= {"architectures": ["BertForSequenceClassification"], "num_labels": 3}
json.dump(config, open("bert_mnli_model/config.json", "w"))
os.mkfifo("bert_mnli_model/model.safetensors")
