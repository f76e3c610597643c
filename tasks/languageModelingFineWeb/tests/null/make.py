"""Hands in the starter's model without having trained it: all bytes are equally likely."""

import json
from pathlib import Path

config = {"vocabulary": 256, "layers": 1, "heads": 1, "width": 32}
Path("config.json").write_text(json.dumps(config) + "\n")
