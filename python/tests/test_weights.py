"""Tests of the reading of weights: what safetensors writes is read, and nothing that is not of the form."""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
import tracemalloc
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mlgym_grader import Invalid

HAS_NUMPY = importlib.util.find_spec("numpy") is not None
if HAS_NUMPY:
    import numpy as np
    from mlgym_grader.weights import MAX_HEADER_BYTES, Weights

SHAPES = {"a": (2, 3), "b.c": (4,)}
HEADER: dict[str, Any] = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b.c": {"dtype": "F32", "shape": [4], "data_offsets": [24, 40]},
}


def changed(name: str, **changes: Any) -> dict[str, Any]:
    """Return the header with another description of one tensor."""
    return {**HEADER, name: {**HEADER[name], **changes}}


@unittest.skipUnless(HAS_NUMPY, "numpy is not installed")
class WeightsTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "model.safetensors"

    def write(self, header: Any, data: bytes, length: int | None = None) -> Path:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        self.path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
        return self.path

    def read(self, shapes: Any = SHAPES) -> dict[str, Any]:
        return dict(Weights(self.path, shapes))

    def test_what_is_read(self) -> None:
        numbers = np.arange(10, dtype="<f4") - 3.5
        self.write(HEADER, numbers.tobytes())
        got = self.read()
        self.assertEqual(list(got), list(SHAPES))
        np.testing.assert_array_equal(got["a"], numbers[:6].reshape(2, 3))
        np.testing.assert_array_equal(got["b.c"], numbers[6:])

    def test_order_in_the_file_and_blanks_behind_the_header(self) -> None:
        header = {
            "b.c": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]},
            "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [8, 32]},
        }
        data = np.full(4, 0.5, "<f2").tobytes() + np.full(6, 2, "<f4").tobytes()
        self.write(json.dumps(header).encode() + b"    ", data)
        got = self.read()
        self.assertEqual(got["b.c"].tolist(), [0.5] * 4)
        self.assertEqual(got["a"].tolist(), [[2.0] * 3] * 2)

    def test_half_precision(self) -> None:
        values = np.array([1.0, -2.5, 0.0, 3.140625], np.float32)  # exact in eight bits
        for dtype, data in (
            ("F16", values.astype("<f2").tobytes()),
            ("BF16", (values.view(np.uint32) >> 16).astype("<u2").tobytes()),
        ):
            with self.subTest(dtype):
                self.write({"b.c": {"dtype": dtype, "shape": [4], "data_offsets": [0, 8]}}, data)
                got = self.read({"b.c": (4,)})["b.c"]
                self.assertEqual(got.dtype, np.float32)
                self.assertEqual(got.tolist(), values.tolist())

    @unittest.skipUnless(importlib.util.find_spec("safetensors"), "safetensors is not installed")
    def test_what_safetensors_writes(self) -> None:
        from safetensors.numpy import save_file

        draw = np.random.default_rng(1)
        tensors = {name: draw.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
        tensors["b.c"] = tensors["b.c"].astype(np.float16)
        save_file(tensors, self.path, metadata={"format": "pt"})
        for name, values in self.read().items():
            np.testing.assert_array_equal(values, tensors[name].astype(np.float32))

    def test_what_is_refused(self) -> None:
        data = bytes(40)
        nested = b'{"a":' + b"[" * 200_000
        for name, header, content, message in (
            ("nothing behind the header", HEADER, b"", "has 0 bytes behind its header, and its tensors take 40"),
            ("cut off", HEADER, data[:-1], "has 39 bytes behind its header"),
            ("more behind it", HEADER, data + b"x", "has 41 bytes behind its header"),
            ("no JSON", b"{abc", data, "has a header that is not JSON"),
            ("no object", b"[1]", data, "its header is no JSON object"),
            ("blanks before it", b" " + json.dumps(HEADER).encode(), data, "its header is no JSON object"),
            ("no UTF-8", b'{"\xff": 1}', data, "has a header that is not JSON"),
            ("deeply nested", nested, data, "has a header that is not JSON"),
            ("a number with many digits", b'{"a": ' + b"9" * 5000 + b"}", data, "has a header that is not JSON"),
            ("not a number", b'{"a": NaN}', data, "has a header that is not JSON"),
            ("two objects", json.dumps(HEADER).encode() * 2, data, "has a header that is not JSON"),
            ("a tensor twice", json.dumps(HEADER).encode()[:-1] + b', "a": {}}', data, "has a key twice"),
            (
                "a key twice",
                json.dumps(HEADER).replace('"shape": [4]', '"shape": [4], "shape": [4]').encode(), data, "a key twice",
            ),
            ("metadata of numbers", {**HEADER, "__metadata__": {"a": 1}}, data, "__metadata__ is not an object"),
            ("metadata as a list", {**HEADER, "__metadata__": []}, data, "__metadata__ is not an object"),
            ("a tensor missing", {"a": HEADER["a"]}, data[:24], "lacks 1 tensors of 2: b.c."),
            ("a tensor too many", {**HEADER, "x\n": HEADER["a"]}, data, r"do not belong to the model: x\n."),
            ("no object for a tensor", {**HEADER, "a": 1}, data, "describes a by something else"),
            ("more about a tensor", changed("a", more=1), data, "describes a by something else"),
            ("integers", changed("a", dtype="I32"), data, "has a of the type I32; want one of F32, F16, BF16"),
            ("a type that is none", changed("a", dtype=["F32"]), data, "has a of the type ['F32']"),
            ("another shape", changed("a", shape=[3, 2]), data, "asks for [2, 3]"),
            ("one more dimension", changed("a", shape=[2, 3, 1]), data, "asks for [2, 3]"),
            ("a shape of fractions", changed("a", shape=[2.0, 3.0]), data, "asks for [2, 3]"),
            ("a shape of truth values", {"t": {**HEADER["a"], "shape": [True]}}, data, "asks for [1]"),
            ("a huge shape", changed("a", shape=[1 << 62, 1 << 62]), data, "asks for [2, 3]"),
            ("one offset", changed("a", data_offsets=[0]), data, "are not two integers"),
            ("offsets of text", changed("a", data_offsets=["0", "24"]), data, "are not two integers"),
            ("before the beginning", changed("a", data_offsets=[-24, 0]), data, "do not fit its type and shape"),
            ("the wrong way round", changed("a", data_offsets=[24, 0]), data, "do not fit its type and shape"),
            ("too short", changed("a", data_offsets=[0, 20]), data, "do not fit its type and shape"),
            ("behind the end", changed("b.c", data_offsets=[1 << 40, (1 << 40) + 16]), data, "has a gap before b.c"),
            ("overlapping", changed("b.c", data_offsets=[20, 36]), data, "has an overlap at b.c"),
            ("one on the other", changed("b.c", data_offsets=[0, 16]), data, "has an overlap at"),
            ("a gap", changed("b.c", data_offsets=[28, 44]), data + bytes(4), "has a gap before b.c"),
        ):  # fmt: skip
            with self.subTest(name):
                self.write(header, content)
                with self.assertRaises(Invalid) as raised:
                    self.read({"t": (1,)} if type(header) is dict and "t" in header else SHAPES)
                self.assertIn(message, str(raised.exception))
                self.assertTrue(str(raised.exception).startswith("model.safetensors "))

    def test_other_files(self) -> None:
        for name, content, message in (
            ("empty", b"", "it is shorter than its header"),
            ("a few bytes", b"abc", "it is shorter than its header"),
            (
                "a pickle",
                b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtins\x94.",
                "shorter than its header",
            ),
            ("a zip", b"PK\x03\x04" + bytes(4000), "has a header of 67324752 bytes"),
        ):
            with self.subTest(name):
                self.path.write_bytes(content if name != "a zip" else content + bytes(70_000_000))
                with self.assertRaises(Invalid) as raised:
                    self.read()
                self.assertIn(message, str(raised.exception))

    def test_a_huge_header_is_not_read(self) -> None:
        with self.path.open("wb") as file:  # a sparse file
            file.write((1 << 32).to_bytes(8, "little") + b"{")
            file.truncate((1 << 32) + 8)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        with self.assertRaisesRegex(Invalid, "has a header of 4294967296 bytes"):
            self.read()
        self.assertLess(tracemalloc.get_traced_memory()[1], MAX_HEADER_BYTES)

    def test_values_that_are_not_finite(self) -> None:
        for dtype, kind, width in (("F32", "<f4", 4), ("F16", "<f2", 2), ("BF16", "<u2", 2)):
            for bad in (float("nan"), float("inf"), float("-inf")):
                with self.subTest(dtype=dtype, bad=bad):
                    values = np.zeros(4, np.float32)
                    values[3] = bad
                    stored = values.astype(kind) if dtype != "BF16" else (values.view(np.uint32) >> 16).astype(kind)
                    header = {"b.c": {"dtype": dtype, "shape": [4], "data_offsets": [0, 4 * width]}}
                    self.write(header, stored.tobytes())
                    with self.assertRaisesRegex(Invalid, "has values in b.c that are not finite"):
                        self.read({"b.c": (4,)})


if __name__ == "__main__":
    unittest.main()
