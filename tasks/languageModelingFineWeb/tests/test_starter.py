"""Tests of the starter: the model is causal, and the batches are what they should be."""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path

from places import TASK, load

try:
    import numpy as np
    import safetensors.torch
    import torch
except ImportError as error:
    raise unittest.SkipTest(f"SKIPPED, not tested: {error}") from None

WINDOW = 8
CONFIG = {"vocabulary": 32, "layers": 2, "heads": 2, "width": 16}


def starter(folder: Path):
    """Import baseline.py where it finds small shards."""
    data = folder / "data" / "train"
    data.mkdir(parents=True)
    for number, length in ((1, 100), (2, 90)):
        header = np.zeros(256, dtype="<i4")
        header[:3] = 20240520, 1, length
        tokens = (np.arange(length) + 1000 * number).astype("<u2")
        (data / f"a_train_{number}.bin").write_bytes(header.tobytes() + tokens.tobytes())
    meta = {"window": WINDOW, "vocab_size": 30, "tokenizer": "bytes", "tokens": 190}
    (data / "meta.json").write_text(json.dumps(meta))
    before = Path.cwd()
    os.chdir(folder)
    sys.path.insert(0, str(TASK / "starter"))
    try:
        return importlib.import_module("baseline")
    finally:
        sys.path.remove(str(TASK / "starter"))
        os.chdir(before)


class StarterTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.baseline = starter(Path(cls.folder.name))
        cls.model = load("starter", "model.py")

    def module(self) -> torch.nn.Module:
        """Return a model with random weights: a fresh one gives equal logits."""
        torch.manual_seed(1)
        module = self.model.build(CONFIG).eval()
        with torch.no_grad():
            for weight in module.parameters():
                weight.normal_(std=0.3)
        return module

    def test_a_fresh_model_finds_all_tokens_equally_likely(self) -> None:
        with torch.no_grad():
            logits = self.model.build(CONFIG)(torch.zeros(2, WINDOW, dtype=torch.long))
        self.assertEqual(logits.shape, (2, WINDOW, 32))
        self.assertEqual(logits.abs().max().item(), 0.0)

    def test_the_model_is_causal(self) -> None:
        module = self.module()
        tokens = torch.randint(0, 32, (3, WINDOW))
        changed = tokens.clone()
        changed[:, 5] = (changed[:, 5] + 1) % 32
        with torch.no_grad():
            difference = (module(tokens) - module(changed)).abs().amax(dim=(0, 2))
        self.assertLess(float(difference[:5].max()), 1e-5)
        self.assertGreater(float(difference[5:].min()), 1e-3)

    def test_positions_count(self) -> None:
        with torch.no_grad():
            logits = self.module()(torch.tensor([[3, 4, 3, 4, 3, 4, 3, 4], [3, 3, 4, 4, 3, 4, 3, 4]]))
        self.assertGreater(float((logits[0, -1] - logits[1, -1]).abs().max()), 1e-3)

    def test_the_full_model_is_the_one_of_the_recipe(self) -> None:
        sizes = {name: self.baseline.FULL[name] for name in ("layers", "heads", "width")}
        with torch.device("meta"):
            module = self.model.build({"vocabulary": 50304, **sizes})
        blocks = sum(parameter.numel() for parameter in module.blocks.parameters())
        self.assertEqual(blocks, 12 * 12 * 768 * 768)
        self.assertEqual(sum(parameter.numel() for parameter in module.parameters()), blocks + 2 * 50304 * 768)

    def test_batches(self) -> None:
        shards = [tokens.astype(int) for tokens in (np.arange(100), np.arange(1000, 1090))]
        stream = self.baseline.batches(shards, rows=2)
        got = [next(stream) for _ in range(12)]
        for inputs, successors in got:
            self.assertEqual(inputs.shape, (2, WINDOW))
            self.assertTrue(torch.equal(inputs + 1, successors))
        firsts = [int(inputs[0, 0]) for inputs, _ in got]
        self.assertEqual(firsts, [0, 16, 32, 48, 64, 80, 1000, 1016, 1032, 1048, 1064, 0])

    def test_processes_share_a_batch(self) -> None:
        before = self.baseline.RANK, self.baseline.WORLD
        self.addCleanup(lambda: (setattr(self.baseline, "RANK", before[0]), setattr(self.baseline, "WORLD", before[1])))
        self.baseline.WORLD = 2
        firsts = []
        for self.baseline.RANK in (0, 1):
            stream = self.baseline.batches([np.arange(100)], rows=1)
            firsts.append([int(next(stream)[0][0, 0]) for _ in range(3)])
        self.assertEqual(firsts, [[0, 16, 32], [8, 24, 40]])

    def test_muon_steps_are_nearly_orthogonal(self) -> None:
        torch.manual_seed(2)
        for shape in ((12, 40), (40, 12), (16, 16)):
            values = torch.linalg.svdvals(self.baseline.orthogonal(torch.randn(shape)))
            self.assertGreater(float(values.min()), 0.3, shape)
            self.assertLess(float(values.max()), 1.4, shape)

    def test_what_is_written_can_be_loaded(self) -> None:
        path = Path(self.folder.name) / "model.safetensors"
        module = self.module()
        safetensors.torch.save_file({k: v.contiguous() for k, v in module.state_dict().items()}, path)
        other = self.model.build(CONFIG)
        other.load_state_dict(safetensors.torch.load_file(path))
        tokens = torch.randint(0, 32, (1, WINDOW))
        self.assertTrue(torch.equal(module(tokens), other(tokens)))


if __name__ == "__main__":
    unittest.main()
