"""Hands in a link to a folder that is not its own: the start model."""

import os

os.symlink("/home/agent/workspace/data/bert", "bert_mnli_model")
