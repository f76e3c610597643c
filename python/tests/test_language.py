"""Tests of how language models are graded: the audit, against liars, and the harness."""

from __future__ import annotations

import base64
import importlib
import importlib.util
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PYTHON = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PYTHON))

from mlgym_grader import Invalid, Stream  # noqa: E402

HAS_NUMPY = importlib.util.find_spec("numpy") is not None
HAS_TORCH = HAS_NUMPY and all(importlib.util.find_spec(name) for name in ("torch", "safetensors"))
if HAS_NUMPY:
    import numpy as np
    from mlgym_grader import language

WINDOW, VOCABULARY = 16, 8
PARAMETERS = {
    "rows": 8,
    "audits": {"validate": 256, "submit": 512},
    "repeats": 4,
    "splices": 12,
    "tolerance": 0.02,
    "tolerance_rms": 0.005,
}


class FakePlayer:
    """A player in this process: a model of pairs of tokens, and perhaps a lie."""

    def __init__(self, log: list[tuple[str, Any]], name: str, table: Any, lie: Callable[..., Any]) -> None:
        self.log, self.name, self.table, self.lie = log, name, table, lie
        self.memory: dict[Any, Any] = {}

    def prepare(self, question: dict[str, Any]) -> dict[str, Any]:
        self.log.append((self.name, question))
        return {"parameters": 64}

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        self.log.append((self.name, question))
        width = WINDOW + (question["op"] == "claims")
        tokens = np.frombuffer(base64.b64decode(question["tokens"]), dtype="<u2").reshape(-1, width)
        if question["op"] == "claims":
            logs = self.table[tokens[:, :-1], tokens[:, 1:]]
        else:
            rows = self.table[tokens[np.arange(len(tokens)), question["positions"]]]
            logs = np.concatenate([rows, np.full((len(rows), 1), -10000.0)], axis=1)
        logs = self.lie(question["op"], tokens, logs.copy(), self.memory)
        if isinstance(logs, dict):
            return logs
        return {"log_probabilities": base64.b64encode(logs.astype("<f4").tobytes()).decode()}

    def fail(self, message: str) -> None:
        raise Invalid(message)

    def stop(self) -> None:
        self.log.append((self.name, None))


def honest(op: str, tokens: Any, logs: Any, memory: Any) -> Any:
    return logs


class FakeSession:
    """The parts of a session that the grader of language models uses."""

    def __init__(self, data: Path, kind: str, mode: str = "hardened", seed: int = 0) -> None:
        self.data, self.kind, self.mode, self.seed = data, kind, mode, seed
        self.parameters = PARAMETERS
        self.log: list[tuple[str, Any]] = []
        self.table: Any = None
        self.lie: Callable[..., Any] = honest

    def stream(self, label: str) -> Stream:
        return Stream(self.seed.to_bytes(32, "big"), label)

    def start(self, name: str, harness: str) -> FakePlayer:
        assert harness == "language"
        return FakePlayer(self.log, name, self.table, self.lie)


def write_split(folder: Path, tokens: Any) -> None:
    folder.mkdir()
    header = np.zeros(256, dtype="<i4")
    header[:3] = 20240520, 1, len(tokens)
    (folder / "a.bin").write_bytes(header.tobytes() + tokens.astype("<u2").tobytes())
    (folder / "meta.json").write_text(json.dumps({"window": WINDOW, "vocab_size": VOCABULARY}))


@unittest.skipUnless(HAS_NUMPY, "numpy is missing: the grading of language models is not tested")
class AuditTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        cls.data = Path(cls.folder.name)
        numbers = np.random.default_rng(1)
        chain = numbers.dirichlet([0.3] * VOCABULARY, size=VOCABULARY)
        cls.texts = {}
        for split, windows in (("train", 100), ("validation", 200), ("test", 1200)):
            text = [0]
            for uniform in numbers.random(windows * WINDOW):
                text.append(min(int(np.searchsorted(np.cumsum(chain[text[-1]]), uniform)), VOCABULARY - 1))
            cls.texts[split] = np.array(text)
            write_split(cls.data / split, cls.texts[split])
        cls.table = np.log(np.maximum(chain, 1e-6) / np.maximum(chain, 1e-6).sum(axis=1, keepdims=True))

    @classmethod
    def tearDownClass(cls) -> None:
        cls.folder.cleanup()

    def grade(self, lie: Callable[..., Any] = honest, kind: str = "submit", **more: Any) -> tuple[Any, FakeSession]:
        session = FakeSession(self.data, kind, **more)
        session.table, session.lie = self.table, lie
        return language.score(session), session

    def loss(self, split: str) -> float:
        text = self.texts[split]
        return -float(self.table[text[:-1], text[1:]].mean())

    def test_an_honest_model_gets_its_loss(self) -> None:
        for kind, mode, split in (
            ("submit", "hardened", "test"),
            ("validate", "hardened", "validation"),
            ("validate", "published", "test"),
        ):
            result, _ = self.grade(kind=kind, mode=mode)
            self.assertAlmostEqual(result.scores["val_loss"], self.loss(split), delta=1e-6)
            self.assertEqual(result.details["tokens"], len(self.texts[split]) - 1)
            self.assertLess(abs(result.details["audit_correction"]), 1e-6)
            json.dumps([dict(result.scores), dict(result.details)], allow_nan=False)

    def test_grading_twice_gives_the_same(self) -> None:
        self.assertEqual(self.grade()[0], self.grade()[0])

    def test_liars_are_refused(self) -> None:
        def on_claims(change: Callable[[Any, Any], Any]) -> Callable[..., Any]:
            return lambda op, tokens, logs, memory: change(tokens, logs) if op == "claims" else logs

        def on_audit(change: Callable[[Any, Any], Any]) -> Callable[..., Any]:
            return lambda op, tokens, logs, memory: change(tokens, logs) if op != "claims" else logs

        def sharpen(tokens: Any, logs: Any) -> Any:
            logs[:, 3] += 0.5
            return logs

        def look_ahead(op: str, tokens: Any, logs: Any, memory: Any) -> Any:
            if op == "claims":
                logs[:, :-1] += 0.1 * tokens[:, 2:]
                logs = np.minimum(logs, 0)
            return logs

        def remember(op: str, tokens: Any, logs: Any, memory: Any) -> Any:
            memory["batches"] = memory.get("batches", 0) + 1
            return np.minimum(logs + 0.05 * memory["batches"], 0) if op == "claims" else logs

        def mix_rows(op: str, tokens: Any, logs: Any, memory: Any) -> Any:
            return logs * (1 + 0.1 * tokens[0, 0]) if op == "claims" else logs

        def cache(op: str, tokens: Any, logs: Any, memory: Any) -> Any:
            """Look ahead, but tell what was told before where the beginning is known: no splice finds it."""
            if op != "claims":
                return logs
            lifted = np.minimum(logs + 0.5, 0)
            for row, ids in enumerate(tokens):
                for place in range(WINDOW):
                    lifted[row, place] = memory.setdefault(ids[: place + 2].tobytes(), lifted[row, place])
            return lifted

        def whole(tokens: Any, logs: Any) -> Any:
            return np.minimum(logs + 0.3, 0)

        for name, lie, want in (
            ("log-probability 0", on_claims(lambda tokens, logs: logs * 0), "had been shown"),
            ("above 1", on_claims(lambda tokens, logs: logs * 0 + 1), "above 1"),
            ("not a number", on_claims(lambda tokens, logs: logs * np.nan), "finite"),
            ("infinite", on_claims(lambda tokens, logs: logs * np.inf), "finite"),
            ("too few", on_claims(lambda tokens, logs: logs[1:]), "another number"),
            ("text", on_claims(lambda tokens, logs: {"log_probabilities": "-1 -2"}), "base64"),
            ("a list", on_claims(lambda tokens, logs: {"log_probabilities": [0.0]}), "did not answer"),
            ("nothing", on_claims(lambda tokens, logs: {}), "did not answer"),
            ("everything a little", on_claims(whole), "had been shown"),
            ("unnormalised", lambda op, tokens, logs, memory: np.minimum(logs + 0.3, 0), "sum to 1"),
            ("mass in one id", on_audit(sharpen), ""),
            ("audit not a number", on_audit(lambda tokens, logs: logs * np.nan), "finite"),
            ("audit too long", on_audit(lambda tokens, logs: np.tile(logs, 2)), "another number"),
            ("look ahead", look_ahead, "looks ahead"),
            ("state", remember, "one batch to the next"),
            ("mixed rows", mix_rows, "other rows"),
            ("state that hides", cache, "had been shown"),
        ):
            with self.subTest(name), self.assertRaises(Invalid) as caught:
                self.grade(lie)
            self.assertIn(want, str(caught.exception), name)

    def rare_liar(self, share: float, seed: int) -> Callable[..., Any]:
        """Claim certainty at a share of the positions, the same ones whenever they come."""

        def lie(op: str, tokens: Any, logs: Any, memory: Any) -> Any:
            if op == "claims":
                for row, ids in enumerate(tokens):
                    for place in range(1, WINDOW):
                        if Stream(ids[: place + 2].tobytes(), str(seed)).random() < share and logs[row, place] < -1.5:
                            logs[row, place] = 0.0
            return logs

        return lie

    def test_rare_lies_do_not_pay(self) -> None:
        # About 2 % of the positions are lies, each worth 2.4 nats: 512 audits find one almost surely.
        found = 0
        for seed in range(5):
            try:
                self.grade(self.rare_liar(0.1, seed), seed=seed)
            except Invalid:
                found += 1
        self.assertEqual(found, 5)

    def test_what_is_audited_depends_on_the_claims(self) -> None:
        def slightly(op: str, tokens: Any, logs: Any, memory: Any) -> Any:
            return np.minimum(logs - 1e-4, 0) if op == "claims" else logs

        def audited(session: FakeSession) -> list[Any]:
            return [q["positions"] for name, q in session.log if name == "audit" and q and "positions" in q]

        _, session = self.grade()
        _, again = self.grade()
        result, other = self.grade(slightly)
        self.assertEqual(audited(session), audited(again))
        self.assertNotEqual(audited(session), audited(other))
        # Lies within the tolerance are taken back.
        self.assertAlmostEqual(result.scores["val_loss"], self.loss("test"), delta=1e-5)

    def test_the_audit_shows_no_successor_before_it_was_asked(self) -> None:
        _, session = self.grade()
        claims_over = session.log.index(("claims", None))
        text = self.texts["test"]
        windows = language.cut(text, WINDOW).astype("<u2")
        index: dict[bytes, int] = {window[:-1].tobytes(): i for i, window in enumerate(windows)}
        self.assertTrue(index)
        shown: set[int] = set()  # places in the text
        asked = 0
        for name, question in session.log[claims_over:]:
            if name != "audit" or not question or question["op"] != "distributions":
                continue
            tokens = np.frombuffer(base64.b64decode(question["tokens"]), dtype="<u2").reshape(-1, WINDOW)
            batch = []
            for row, place in zip(tokens, question["positions"], strict=True):
                starts = [i for i, w in enumerate(windows) if (w[: place + 1] == row[: place + 1]).all()]
                if len(starts) != 1:
                    continue  # too short to tell where it is from
                successor = starts[0] * WINDOW + place + 1
                self.assertNotIn(successor, shown)
                batch.append((starts[0] * WINDOW, successor))
                asked += 1
            for _, successor in batch:
                self.assertFalse(any(first <= successor < last for first, last in batch if last != successor))
            shown.update(place for begin, successor in batch for place in range(begin, successor))
        self.assertGreater(asked, 100)

    def test_levels(self) -> None:
        self.assertEqual(
            language.levels([(0, 3), (0, 1), (1, 0), (1, 2), (2, 0), (4, 1)], window=4),
            [[(0, 1), (2, 0), (4, 1)], [(0, 3)], [(1, 0)], [(1, 2)]],
        )

    def test_positions_are_drawn_as_their_weights_say(self) -> None:
        weights = np.zeros((4, 5))
        weights[1, 2], weights[3, 4] = 1.0, 3.0
        drawn = language.draw_in_proportion(weights, 4000, Stream(b"x", "weights"))
        self.assertEqual(set(drawn), {(1, 2), (3, 4)})
        self.assertAlmostEqual(drawn.count((3, 4)) / 4000, 0.75, delta=0.03)
        self.assertEqual(len(language.draw_in_proportion(weights * 0, 20, Stream(b"x", "weights"))), 20)
        self.assertEqual(len(set(language.draw_uniformly((4, 5), 20, Stream(b"x", "all")))), 20)

    def test_damaged_shards_are_our_fault(self) -> None:
        path = self.data / "damaged.bin"
        for data in (b"\0" * 1024, (20240520).to_bytes(4, "little") + (1).to_bytes(4, "little") + b"\5" + b"\0" * 1015):
            path.write_bytes(data)
            with self.assertRaises(ValueError):
                language.read_shard(path)


MODEL = """
import torch
class Pair(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.table = torch.nn.Embedding(size, size)
        self.dropout = torch.nn.Dropout(0.5)
    def forward(self, idx):
        return self.dropout(self.table(idx))
def build(config):
    return Pair(config["size"])
"""


@contextmanager
def player(folder: Path) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """Start the harness in a folder and give what asks it."""
    ours, theirs = socket.socketpair()
    script = f"import os,sys; os.dup2({theirs.fileno()}, 3, inheritable=True); os.execv(sys.argv[1], sys.argv[1:])"
    argv = [sys.executable, "-I", "-B", str(PYTHON / "mlgym_player" / "harness.py"), "language"]
    with subprocess.Popen(
        [sys.executable, "-c", script, *argv],
        cwd=folder, pass_fds=[theirs.fileno()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        theirs.close()
        stream = ours.makefile("rwb")

        def ask(question: dict[str, Any]) -> dict[str, Any]:
            payload = json.dumps(question).encode()
            stream.write(len(payload).to_bytes(4, "big") + payload)
            stream.flush()
            return json.loads(stream.read(int.from_bytes(stream.read(4), "big")))

        try:
            yield ask
        finally:
            stream.close()
            ours.close()
            process.kill()


@unittest.skipUnless(HAS_TORCH, "torch or safetensors is missing: the harness of language models is not tested")
class HarnessTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.write(MODEL, {"size": 10})

    def write(self, model: str, config: Any, weights: Any = None) -> None:
        from safetensors.numpy import save_file

        (self.folder / "model.py").write_text(model)
        (self.folder / "config.json").write_text(json.dumps(config))
        if weights is not None:
            save_file(weights, self.folder / "model.safetensors")

    LOAD = {"op": "load", "rows": 2, "window": 4, "vocabulary": 8} | (language.PROGRAM if HAS_NUMPY else {})

    def test_answers(self) -> None:
        table = np.random.default_rng(0).normal(size=(10, 10)).astype(np.float32)
        self.write(MODEL, {"size": 10}, {"module._orig_mod.table.weight": table})
        logs = np.log(np.exp(table) / np.exp(table).sum(axis=1, keepdims=True))
        tokens = np.array([[1, 2, 3, 4, 5], [7, 6, 5, 4, 3]], dtype="<u2")
        with player(self.folder) as ask:
            self.assertEqual(ask(self.LOAD), {"parameters": 100})
            claims = self.numbers(ask({"op": "claims", "tokens": language.encode(tokens)})).reshape(2, 4)
            np.testing.assert_allclose(claims, logs[tokens[:, :-1], tokens[:, 1:]], atol=1e-5)
            question = {"op": "distributions", "tokens": language.encode(tokens[:, :-1]), "positions": [0, 3]}
            rows = self.numbers(ask(question)).reshape(2, 9)
            np.testing.assert_allclose(rows[:, :8], logs[[1, 4], :8], atol=1e-5)
            np.testing.assert_allclose(np.exp(rows).sum(axis=1), 1.0, atol=1e-5)

    def in_this_process(self) -> tuple[Any, Any]:
        """Return the modules of the harness, for the folder of the test: a process costs seconds."""
        before = Path.cwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)
        sys.path.insert(0, str(PYTHON / "mlgym_player"))
        try:
            return importlib.import_module("harness"), importlib.import_module("language")
        finally:
            del sys.path[0]

    def test_without_weights_each_loading_gives_the_same(self) -> None:
        _, program = self.in_this_process()
        question = {"op": "claims", "tokens": language.encode(np.zeros((2, 5)))}
        first, second = (program.answer(question, program.load(self.LOAD)[0]) for _ in range(2))
        self.assertEqual(first, second)

    def test_minus_infinity_becomes_a_number(self) -> None:
        _, program = self.in_this_process()
        masked = "self.table(idx) - torch.tensor([0.0] + [torch.inf] * 9)"
        self.write(MODEL.replace("self.dropout(self.table(idx))", masked), {"size": 10})
        question = {"op": "claims", "tokens": language.encode(np.ones((2, 5)))}
        claims = self.numbers(program.answer(question, program.load(self.LOAD)[0]))
        self.assertEqual(set(claims.tolist()), {-10000.0})

    def test_what_cannot_be_loaded_is_told(self) -> None:
        harness, program = self.in_this_process()
        for name, model, config, weights, want in (
            ("no build", "x = 1", {}, None, "no function build"),
            ("syntax", "def build(:", {}, None, ""),
            ("no module", "def build(config): return 5", {}, None, "torch.nn.Module"),
            ("config is a list", MODEL, [10], None, "JSON object"),
            ("small vocabulary", MODEL, {"size": 7}, None, "V >= 8"),
            ("other weights", MODEL, {"size": 10}, {"table.weight": np.zeros((9, 10), np.float32)}, "size mismatch"),
            ("other names", MODEL, {"size": 10}, {"other": np.zeros(3, np.float32)}, "Missing key"),
            ("a tuple", MODEL.replace("idx))", "idx)), None"), {"size": 10}, None, "a tensor of logits"),
        ):
            with self.subTest(name):
                (self.folder / "model.safetensors").unlink(missing_ok=True)
                self.write(model, config, weights)
                with self.assertRaises(Exception) as caught:
                    program.load(self.LOAD)
                self.assertIn(want, harness.describe(caught.exception)["message"])

    def test_a_pickle_is_not_opened(self) -> None:
        import pickle

        mark = self.folder / "mark"

        class Trap:
            def __reduce__(self) -> Any:
                return Path.touch, (mark,)

        (self.folder / "model.safetensors").write_bytes(pickle.dumps(Trap()))
        with self.assertRaisesRegex(Exception, "header"):
            self.in_this_process()[1].load(self.LOAD)
        self.assertFalse(mark.exists())

    def numbers(self, answer: dict[str, Any]) -> Any:
        values = np.frombuffer(base64.b64decode(answer["log_probabilities"]), dtype="<f4")
        self.assertTrue(all(math.isfinite(value) for value in values))
        return values


if __name__ == "__main__":
    unittest.main()
