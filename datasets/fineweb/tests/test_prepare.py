"""Tests of the preparation of FineWeb, on small files of the same formats."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import struct
import sys
import tempfile
import unittest
import zlib
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(FOLDER.parent.parent / "python"), str(FOLDER)]

from mlgym_dataset import Preparation  # noqa: E402
from mlgym_dataset.preparation import Refused  # noqa: E402

try:
    import numpy as np
except ImportError as error:
    raise unittest.SkipTest(f"SKIPPED, not tested: {error}") from None

HELD_OUT, SCORED = 30, 50


def shard(tokens, magic: int = 20240520, version: int = 1, count: int | None = None) -> bytes:
    header = np.zeros(256, dtype="<i4")
    header[:3] = magic, version, len(tokens) if count is None else count
    return header.tobytes() + np.asarray(tokens, dtype="<u2").tobytes()


def r_integer(number: int) -> bytes:
    return number.to_bytes(4, "big", signed=True)


def r_chars(text: str) -> bytes:
    return r_integer(0x40009) + r_integer(len(text.encode())) + text.encode()


def r_strings(texts) -> bytes:
    return r_integer(16) + r_integer(len(texts)) + b"".join(map(r_chars, texts))


def r_named(values: dict[str, bytes], symbol: bytes) -> bytes:
    """Return a list with names: the first time names is a symbol, later a reference to it."""
    names = r_integer(0x402) + symbol + r_strings(list(values)) + r_integer(254)
    return r_integer(0x200 | 19) + r_integer(len(values)) + b"".join(values.values()) + names


R_HEAD = b"X\n" + r_integer(3) + bytes(8) + r_integer(5) + b"UTF-8"
NEW, KNOWN = r_integer(1) + r_chars("names"), r_integer(0x1FF)


def r_package(texts: dict[str, list[str]]) -> tuple[bytes, bytes]:
    """Return Rdata.rdx and Rdata.rdb of texts."""
    data, places = b"", {}
    for name, lines in texts.items():
        plain = R_HEAD + r_strings(lines)
        packed = r_integer(len(plain)) + zlib.compress(plain)
        places[name] = r_integer(13) + r_integer(2) + r_integer(len(data)) + r_integer(len(packed))
        data += packed
    compressed = r_integer(10) + r_integer(1) + r_integer(1)
    index = R_HEAD + r_named({"variables": r_named(places, NEW), "compressed": compressed}, KNOWN)
    return gzip.compress(index), data


class PrepareTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.source = self.folder / "source"
        self.source.mkdir()
        self.module = importlib.import_module("prepare")
        for name, value in (("VALIDATION_TOKENS", HELD_OUT), ("TEST_TOKENS", SCORED)):
            self.addCleanup(setattr, self.module, name, getattr(self.module, name))
            setattr(self.module, name, value)
        numbers = np.random.default_rng(1)
        self.texts = {
            name: numbers.integers(0, 50257, 100)
            for name in ("fineweb_train_000001.bin", "fineweb_train_000002.bin", "fineweb_val_000000.bin")
        }
        for name, tokens in self.texts.items():
            (self.source / name).write_bytes(shard(tokens))

    def prepare(self, variant: str, secret: bytes = b"secret", kind: str = "huggingface") -> Path:
        output = Path(tempfile.mkdtemp(dir=self.folder))
        self.module.prepare(Preparation(variant, kind, self.source, output, secret, io.StringIO()))
        return output

    def tokens(self, path: Path) -> list[int]:
        return importlib.import_module("shards").open_shard(path, 50257).tolist()

    def test_full(self) -> None:
        first, last, official = (tokens.tolist() for tokens in self.texts.values())
        for kind in ("huggingface", "user"):
            out = self.prepare("full", kind=kind)
            kept = out / "train" / "fineweb_train_000001.bin"
            self.assertEqual(self.tokens(kept), first)
            self.assertEqual(self.tokens(out / "train" / "fineweb_train_000002.bin"), last[HELD_OUT:])
            self.assertEqual(self.tokens(out / "validation" / "fineweb_validation.bin"), last[:HELD_OUT])
            self.assertEqual(self.tokens(out / "test" / "fineweb_test.bin"), official[:SCORED])
            meta = json.loads((out / "train" / "meta.json").read_text())
            self.assertEqual((meta["vocab_size"], meta["window"], meta["tokens"]), (50257, 1024, 200 - HELD_OUT))
            self.assertEqual(meta["shards"]["fineweb_train_000002.bin"], 100 - HELD_OUT)
            # What was fetched is linked; a file of the user's own may change later.
            linked = kept.samefile(self.source / "fineweb_train_000001.bin")
            self.assertEqual(linked, kind != "user")

    def test_linked_sources_are_followed(self) -> None:
        target = self.folder / "blob"
        (self.source / "fineweb_train_000001.bin").rename(target)
        (self.source / "fineweb_train_000001.bin").symlink_to(target)
        kept = self.prepare("full") / "train" / "fineweb_train_000001.bin"
        self.assertFalse(kept.is_symlink())
        self.assertEqual(self.tokens(kept), self.texts["fineweb_train_000001.bin"].tolist())

    def test_bad_shards_are_refused(self) -> None:
        some = [1, 2, 3] * 30
        for name, data, want in (
            ("empty", b"", "less than the header"),
            ("half a header", shard(some)[:700], "less than the header"),
            ("cut off", shard(some)[:-2], "do not hold"),
            ("half a token", shard(some) + b"\0", "do not hold"),
            ("more than it says", shard(some, count=89), "do not hold"),
            ("far less than it says", shard(some, count=2**31 - 1), "do not hold"),
            ("nothing", shard([]), "do not hold"),
            ("a negative count", shard(some, count=-5), "do not hold"),
            ("another number", shard(some, magic=20240521), "no shard"),
            ("a web page", b"<!doctype html>" * 100, "no shard"),
            ("another version", shard(some, version=2), "version 2"),
            ("an id too high", shard([*some, 50257]), "token 50257"),
            ("too short", shard([1] * HELD_OUT), "held out"),
        ):
            with self.subTest(name):
                (self.source / "fineweb_train_000002.bin").write_bytes(data)
                with self.assertRaises(Refused) as caught:
                    self.prepare("full")
                self.assertIn(want, str(caught.exception))
                self.assertIn("fineweb_train_000002.bin", str(caught.exception))

    def test_missing_shards_are_refused(self) -> None:
        (self.source / "fineweb_val_000000.bin").write_bytes(shard([1] * (SCORED - 1)))
        with self.assertRaisesRegex(Refused, "the test needs 50"):
            self.prepare("full")
        (self.source / "fineweb_val_000000.bin").unlink()
        with self.assertRaisesRegex(Refused, "fineweb_val_000000.bin is missing"):
            self.prepare("full")
        (self.source / "fineweb_train_000001.bin").unlink()
        with self.assertRaisesRegex(Refused, "fineweb_train_000001.bin is missing"):
            self.prepare("full")
        (self.source / "fineweb_train_000002.bin").unlink()
        with self.assertRaisesRegex(Refused, "no fineweb_train_000001.bin"):
            self.prepare("full")

    def novels(self, hidden: int = 200_000, **more: list[str]) -> None:
        texts = {name: [f"CHAPTER of {name}", "", "é…"] for name in self.module.NOVELS}
        letters = np.random.default_rng(2).integers(97, 123, hidden).astype(np.uint8).tobytes().decode()
        texts |= {"persuasion": [letters[i : i + 70] for i in range(0, hidden, 70)], **more}
        place = self.source / self.module.LIBRARY
        place.mkdir(parents=True, exist_ok=True)
        for name, data in zip(("Rdata.rdx", "Rdata.rdb"), r_package(texts), strict=True):
            (place / name).write_bytes(data)
        self.hidden = "\n".join(texts["persuasion"]).encode()

    def test_small(self) -> None:
        self.novels()
        out = self.prepare("small", kind="debian")
        first = bytes(self.tokens(out / "train" / "austen_train_000001.bin")).decode()
        self.assertEqual(first, "CHAPTER of sensesensibility\n\né…")
        begins = []
        for split in ("validation", "test"):
            text = bytes(self.tokens(out / split / f"austen_{split}.bin"))
            self.assertEqual(len(text), 512 * 128 + 1)
            self.assertIn(text, self.hidden)
            begins.append(self.hidden.index(text))
        self.assertGreaterEqual(abs(begins[0] - begins[1]), 512 * 128 + 1)

    def test_the_secret_decides_where_the_hidden_text_is_from(self) -> None:
        self.novels()
        texts = [
            (self.prepare("small", secret, "debian") / "test" / "austen_test.bin").read_bytes()
            for secret in (b"a", b"a", b"b")
        ]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])

    def test_damaged_packages_are_refused(self) -> None:
        def change(name: str, data: bytes) -> None:
            (self.source / self.module.LIBRARY / name).write_bytes(data)

        with self.assertRaisesRegex(Refused, "is missing"):
            self.prepare("small")
        for name, file, data in (
            ("no gzip", "Rdata.rdx", b"X\n" * 50),
            ("no R object", "Rdata.rdx", gzip.compress(b"hello")),
            ("cut off", "Rdata.rdx", gzip.compress(R_HEAD)),
            ("another type", "Rdata.rdx", gzip.compress(R_HEAD + struct.pack(">ii", 14, 1) + bytes(8))),
            ("another version", "Rdata.rdx", gzip.compress(b"X\n" + r_integer(4) + bytes(20))),
            ("no data", "Rdata.rdb", b""),
            ("other data", "Rdata.rdb", bytes(100_000)),
        ):
            with self.subTest(name):
                self.novels()
                change(file, data)
                with self.assertRaisesRegex(Refused, "cannot be read"):
                    self.prepare("small")


if __name__ == "__main__":
    unittest.main()
