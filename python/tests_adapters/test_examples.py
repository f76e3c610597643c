"""The examples that need the libraries of a trainer or of pictures."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_grpo_example_updates_and_draws(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-B",
            EXAMPLES / "grpo_trl" / "train.py",
            "--updates",
            "3",
            "--rollouts",
            "4",
            "--out",
            tmp_path,
        ],
        env={**os.environ, "MLGYM_URL": "", "MLGYM_TOKEN": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["update"] for line in lines] == [1, 2, 3]
    assert all(math.isfinite(line["loss"]) and math.isfinite(line["reward"]) for line in lines)
    # Some calls of the random model play the best move, some the other.
    assert any(line["reward_std"] > 0 for line in lines)
    assert (tmp_path / "log.png").read_bytes().startswith(b"\x89PNG")


def test_learning_curve_of_recorded_episodes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES / "reinforce"))
    import curve

    with (tmp_path / "episodes.jsonl").open("w") as file:
        for seed in (0, 1):
            for i in range(8):
                line = {
                    "task": "blotto",
                    "seed": seed,
                    "batch": i // 4,
                    "episode": i,
                    "reward": i + seed,
                    "masked": i == 7,
                }
                file.write(json.dumps(line) + "\n")
    task, curves = curve.batches(tmp_path)
    assert task == "blotto"
    # A masked episode counts as done, and its reward not at all.
    assert curves == {0: [(4, 1.5), (8, 5.0)], 1: [(4, 2.5), (8, 6.0)]}
    assert curve.draw([tmp_path], tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
