"""Runs the program on three files, and writes the share that it sorts."""

import json
import subprocess
from pathlib import Path

CASES = [("b\na\nb\n", "a\nb\n"), ("", ""), ("z\ny\n", "y\nz\n"), ("q\nq\nc\n", "c\nq\n")]
right = 0
for number, (text, want) in enumerate(CASES):
    path = Path(f"/tmp/case{number}")
    path.write_text(text)
    got = subprocess.run(["/app/sort.sh", path], capture_output=True, text=True).stdout
    right += got == want
Path("/logs/verifier/reward.json").write_text(
    json.dumps({"reward": max(0, right - 1) / (len(CASES) - 1), "cases": right})
)
