"""Tests of the preparation of bertBase: that both variants are folders for from_pretrained."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

FOLDER = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(FOLDER.parent.parent / "python"))

from mlgym_dataset import Preparation  # noqa: E402
from mlgym_dataset.preparation import Refused  # noqa: E402

HAS_NUMPY = importlib.util.find_spec("numpy") is not None
HAS_TRANSFORMERS = all(importlib.util.find_spec(name) for name in ("torch", "transformers"))
FILES = ["config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"]


def load(path: Path):
    spec = importlib.util.spec_from_file_location(f"{path.stem}_of_{path.parent.name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@unittest.skipUnless(HAS_NUMPY, "numpy is not installed")
class PrepareTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.prepare = load(FOLDER / "prepare.py")

    def run_it(self, variant: str, kind: str, secret: bytes = b"", name: str = "out") -> Path:
        out = self.folder / name
        self.prepare.prepare(Preparation(variant, kind, self.folder / "source", out, secret, io.StringIO()))
        self.assertEqual(sorted(path.name for path in (out / "bert").iterdir()), FILES)
        return out / "bert"

    def test_small_is_the_same_everywhere(self) -> None:
        first, other = self.run_it("small", "generated", b"1", "a"), self.run_it("small", "generated", b"2", "b")
        for name in FILES:
            self.assertEqual((first / name).read_bytes(), (other / name).read_bytes(), name)

    def test_small_weights(self) -> None:
        import numpy as np
        from mlgym_grader.weights import Weights

        folder = self.run_it("small", "generated")
        vocabulary = len((folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
        self.assertEqual(json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"], vocabulary)
        weights = dict(Weights(folder / "model.safetensors", self.prepare.shapes(vocabulary)))
        self.assertEqual(weights["bert.embeddings.word_embeddings.weight"].shape, (vocabulary, 64))
        self.assertAlmostEqual(float(np.std(weights["bert.pooler.dense.weight"])), self.prepare.SPREAD, delta=0.005)
        self.assertEqual(float(weights["bert.embeddings.LayerNorm.weight"].min()), 1)

    def test_the_vocabulary_has_every_word_of_the_made_sentences(self) -> None:
        words = (FOLDER / self.prepare.SMALL_VOCABULARY).read_text(encoding="utf-8").splitlines()
        self.assertEqual(words[:5], ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
        self.assertEqual(len(words), len(set(words)))
        made = load(FOLDER.parent / "mnli" / "sentences.py").words()
        self.assertFalse(made - set(words))

    @unittest.skipUnless(HAS_TRANSFORMERS, "transformers is not installed")
    def test_transformers_reads_small(self) -> None:
        from transformers import BertForSequenceClassification, BertTokenizer

        folder = self.run_it("small", "generated")
        model, info = BertForSequenceClassification.from_pretrained(folder, num_labels=3, output_loading_info=True)
        self.assertEqual(set(info["missing_keys"]), {"classifier.weight", "classifier.bias"})
        self.assertFalse(info["unexpected_keys"] or info["mismatched_keys"])
        tokenizer = BertTokenizer.from_pretrained(folder)
        self.assertEqual(len(tokenizer), model.config.vocab_size)
        pieces = " ".join(tokenizer.tokenize("The chef sold two or more Apples, café."))
        self.assertEqual(pieces, "the chef sold two or more apple ##s , c ##a ##f ##e .")
        self.assertNotIn("[UNK]", tokenizer.tokenize("zebra 42"))

    def test_full_is_copied_and_checked(self) -> None:
        source = self.folder / "source"
        source.mkdir()
        contents = {name: f"content of {name}".encode() for name in self.prepare.FILES}
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        with mock.patch.object(self.prepare, "FILES", digests):
            for name, content in contents.items():
                with self.subTest(f"without {name}"), self.assertRaisesRegex(Refused, f"{name} is missing in"):
                    self.run_it("full", "user", name=f"without {name}")
                (source / name).write_bytes(content)
            folder = self.run_it("full", "user")
            for name, content in contents.items():
                self.assertEqual((folder / name).read_bytes(), content)
            (source / "vocab.txt").write_bytes(b"another one")
            with self.assertRaisesRegex(Refused, "vocab.txt is not the expected file: its SHA-256 is"):
                self.run_it("full", "user", name="other")


if __name__ == "__main__":
    unittest.main()
