"""Tests of how policies are graded: the protocol, against liars and copies, and the harness."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

PYTHON = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PYTHON), str(PYTHON / "mlgym_player")]

from mlgym_grader import Invalid, Stream  # noqa: E402
from mlgym_grader.session import Player  # noqa: E402

HAS_NUMPY = importlib.util.find_spec("numpy") is not None
if HAS_NUMPY:
    import numpy as np
    from mlgym_grader import policies
    from mlgym_player import policies as harness_policies

PARAMETERS = {"seeds": 2, "environments": 16, "steps": 12, "lag": 5, "probes": 4}
ROWS = 32


class Targets:
    """Each row shows a number of 0 to 3, a new one each step; naming it earns 1.

    An episode ends after ``length`` steps.
    """

    length = 1000

    def __init__(self, rows: int) -> None:
        self.target = np.zeros(rows, dtype=int)
        self.time = np.zeros(rows, dtype=int)

    def restart(self, rows: Any, draws: Any) -> None:
        self.target[rows] = (4 * draws[0][rows]).astype(int)
        self.time[rows] = 0

    def observe(self) -> Any:
        return np.eye(4, dtype=np.uint8)[self.target]

    def step(self, actions: Any, draws: Any) -> Any:
        rewards = (actions == self.target).astype(float)
        self.target = (4 * draws[1]).astype(int)
        self.time += 1
        return rewards, self.time >= self.length


class Short(Targets):
    length = 7


class Slopes:
    """Each row shows two numbers; the action's square is its cost."""

    def __init__(self, rows: int) -> None:
        self.seen = np.zeros((rows, 2), dtype=np.float32)

    def restart(self, rows: Any, draws: Any) -> None:
        self.seen[rows] = draws.T[rows]

    def observe(self) -> Any:
        return self.seen.copy()

    def step(self, actions: Any, draws: Any) -> Any:
        self.seen = draws.T.astype(np.float32)
        return -(actions.astype(float) ** 2), np.zeros(len(actions), dtype=bool)


class FakeSession:
    """A grading in this process: act(checkpoint, observations, seed, call) is the program."""

    def __init__(self, act: Callable[..., Any], kind: str = "submit", **parameters: Any) -> None:
        self.parameters = {**PARAMETERS, **parameters}
        self.files = ["policy.py"]
        self.act, self.kind = act, kind
        self.asked: list[dict[str, Any]] = []
        self.calls: dict[str, int] = {}
        self.stopped: list[str] = []

    def stream(self, label: str) -> Stream:
        return Stream(self.kind.encode(), label)

    def start(self, name: str, harness: str) -> Player:
        assert harness == "policies"
        self.calls[name] = 0
        return Player(self, name, True)

    def request(self, header: dict[str, Any], body: bytes | None = None) -> tuple[dict[str, Any], bytes]:
        name = header["player"]
        if header["op"] == "stop":
            self.stopped.append(name)
            return {"ok": True}, b""
        question = json.loads(body)
        self.asked.append({**question, "player": name})
        if question["op"] == "load":
            assert header["clock"] == "start"
            return {"ok": True}, b'{"loaded": true}'
        batch = harness_policies.observations(question)
        answer = self.act(int(name.removeprefix("checkpoint-")), batch, question["seed"], self.calls[name])
        self.calls[name] += 1
        return {"ok": True}, json.dumps({"actions": answer}).encode()


def right(checkpoint: int, batch: Any, seed: int, call: int) -> list[int]:
    """Name the number, except where the checkpoint has its own opinion of one row in eight."""
    answer = batch.argmax(axis=1)
    wrong = np.random.default_rng([seed, checkpoint]).random(len(answer)) < 0.125
    return np.where(wrong, (answer + 1) % 4, answer).tolist()


def steep(factor: float) -> Callable[..., Any]:
    """Continuous, deterministic; checkpoints differ by a factor."""
    return lambda checkpoint, batch, seed, call: (batch[:, 0] * (1 + factor * checkpoint)).tolist()


def sampled(shift: float) -> Callable[..., Any]:
    """Continuous, sampled with the seed; the means of checkpoints differ by a shift."""
    return lambda checkpoint, batch, seed, call: (
        batch[:, 0] + shift * checkpoint + np.random.default_rng(seed).normal(size=len(batch))
    ).tolist()


def grade(act: Callable[..., Any], make: Any = None, space: Any = None, **options: Any) -> Any:
    session = FakeSession(act, **options)
    return policies.grade(session, make or Targets, space or policies.Discrete(4)), session


@unittest.skipUnless(HAS_NUMPY, "SKIPPED, not tested: numpy is not installed")
class PoliciesTest(unittest.TestCase):
    def refused(self, text: str, act: Callable[..., Any], *args: Any, **options: Any) -> None:
        with self.assertRaises(Invalid) as caught:
            grade(act, *args, **options)
        self.assertIn(text, str(caught.exception))

    def test_actions_come_back_to_their_rows(self) -> None:
        result, session = grade(right)
        self.assertAlmostEqual(result.scores["Reward Mean"], 12 * 7 / 8, delta=0.4)
        self.assertEqual(result.details["episodes"], 5 * ROWS)
        self.assertEqual(session.stopped, [f"checkpoint-{i}" for i in range(5)])
        means = [result.details[f"checkpoint_{i}"] for i in range(5)]
        self.assertAlmostEqual(result.scores["Reward Mean"], sum(means) / 5)
        self.assertAlmostEqual(result.details["standard_error"], np.std(means, ddof=1) / math.sqrt(5))

    def test_exactly_the_steps_are_counted(self) -> None:
        """Without mistakes each episode earns its steps, whatever the lag; an end ends it."""
        exact = lambda c, batch, seed, call: batch.argmax(axis=1).tolist()  # noqa: E731
        for make, lag, want in ((Targets, 5, 12), (Targets, 0, 12), (Short, 5, 7), (Short, 0, 7)):
            with self.subTest(make=make.__name__, lag=lag):
                session = FakeSession(exact, lag=lag)
                seeds = policies.Seeds(session, 2, 16)
                numbers = policies.Numbers(session.stream("n"))
                probes = policies.Probes(0, 12, numbers)
                policy = policies.Policy(session, 0, policies.Discrete(4), make(ROWS).observe())
                earned = policies.returns(make(ROWS), policy, seeds, numbers, probes, steps=12, lag=lag)
                self.assertEqual(earned.tolist(), [want] * ROWS)
                self.assertEqual(len(session.asked) - 1, want + lag, "and nothing is asked beyond")

    def test_rows_are_permuted(self) -> None:
        """Who answers by what was seen at the same place one message before gets chance."""
        last: dict[int, Any] = {}

        class Still(Targets):
            def step(self, actions: Any, draws: Any) -> Any:
                return (actions == self.target).astype(float), np.zeros(len(actions), dtype=bool)

        def remember(checkpoint: int, batch: Any, seed: int, call: int) -> list[int]:
            before = last.get(checkpoint, batch)
            last[checkpoint] = batch
            noise = np.random.default_rng([seed, checkpoint]).random(len(batch)) < 0.1
            return np.where(noise, 0, before.argmax(axis=1)).tolist()

        result, _ = grade(remember, Still, lag=0, probes=1, environments=64)
        self.assertLess(result.scores["Reward Mean"], 12 * 0.45)

    def test_calls_do_not_tell_the_time(self) -> None:
        """A list of actions that fits an episode from its beginning is worth less with a lag."""

        class Timed(Targets):
            def restart(self, rows: Any, draws: Any) -> None:
                super().restart(rows, draws)
                self.target[rows] = 0

            def step(self, actions: Any, draws: Any) -> Any:
                rewards = (actions == self.time % 4).astype(float)
                self.time += 1
                return rewards, self.time >= self.length

        def listed(checkpoint: int, batch: Any, seed: int, call: int) -> list[int]:
            noise = np.random.default_rng([seed, checkpoint]).random(len(batch)) < 0.1
            return np.where(noise, 3, call % 4).tolist()

        with_lag, _ = grade(listed, Timed, lag=7, probes=1)
        without, _ = grade(listed, Timed, lag=0, probes=1)
        self.assertGreater(without.scores["Reward Mean"], 7)
        self.assertLess(with_lag.scores["Reward Mean"], 5)

    def test_same_seed_same_score(self) -> None:
        scores = [grade(right, kind=kind)[0].scores for kind in ("validate", "validate", "submit")]
        self.assertEqual(scores[0], scores[1])
        self.assertNotEqual(scores[0], scores[2])

    def test_checkpoints_meet_the_same_beginnings_and_other_orders(self) -> None:
        _, session = grade(right, probes=0 + 1, lag=0)
        firsts = {}
        for question in session.asked:
            if question["op"] == "act":
                firsts.setdefault(question["player"], harness_policies.observations(question))
        counts = [batch.sum(axis=0).tolist() for batch in firsts.values()]
        self.assertEqual(counts, [counts[0]] * 5)
        self.assertGreater(len({batch.tobytes() for batch in firsts.values()}), 1)

    def test_wrong_answers(self) -> None:
        good = [0] * ROWS
        for name, answer, text in (
            ("nothing", None, "no list of actions"),
            ("a number", 1, "no list of actions"),
            ("too few", good[1:], "31 actions for 32 observations"),
            ("too many", [*good, 0], "33 actions for 32 observations"),
            ("negative", [-1, *good[1:]], "integer from 0 to 3"),
            ("too large", [4, *good[1:]], "integer from 0 to 3"),
            ("true", [True, *good[1:]], "integer from 0 to 3"),
            ("fraction", [1.0, *good[1:]], "integer from 0 to 3"),
            ("text", ["1", *good[1:]], "integer from 0 to 3"),
            ("none", [None, *good[1:]], "integer from 0 to 3"),
            ("nested", [[1], *good[1:]], "integer from 0 to 3"),
            ("enormous", [10**400, *good[1:]], "integer from 0 to 3"),
        ):
            with self.subTest(name):
                self.refused(text, lambda *_, a=answer: a)

    def test_wrong_continuous_answers(self) -> None:
        good, space = [0.5] * ROWS, policies.Continuous(1000.0)
        for name, answer, text in (
            ("too few", good[1:], "31 actions"),
            ("too large", [1000.5, *good[1:]], "finite number from -1000 to 1000"),
            ("enormous", [-(10**400), *good[1:]], "finite number"),
            ("true", [True, *good[1:]], "finite number"),
            ("text", ["0", *good[1:]], "finite number"),
            ("none", [None, *good[1:]], "finite number"),
            ("pairs", [[0.5], *good[1:]], "finite number"),
            ("infinite", [math.inf, *good[1:]], "not JSON"),
            ("not a number", [math.nan, *good[1:]], "not JSON"),
        ):
            with self.subTest(name):
                self.refused(text, lambda *_, a=answer: a, Slopes, space)
        # 1e999 is JSON, and infinite when read.
        self.assertIsInstance(space.read([json.loads("1e999")], 1), str)
        np.testing.assert_array_equal(space.read([1000, -1000.0], 2), [1000, -1000])

    def test_copies(self) -> None:
        continuous = (Slopes, policies.Continuous(1000.0))
        self.refused("checkpoints/0.npz and checkpoints/1.npz act alike", lambda c, b, s, n: right(0, b, s, n))
        self.refused("act alike", steep(0.0), *continuous)
        self.refused("act alike", sampled(0.0), *continuous)
        with self.subTest("a rounding of the weights"):
            self.refused("act alike", sampled(1e-4), *continuous)
        with self.subTest("one pair among five"):
            self.refused(
                "checkpoints/2.npz and checkpoints/4.npz",
                lambda c, b, s, n: right({4: 2}.get(c, c), b, s, n),
            )

    def test_honest_policies_are_no_copies(self) -> None:
        continuous = (Slopes, policies.Continuous(1000.0))
        for name, act, args in (
            ("deterministic and nearly alike", steep(1e-4), continuous),
            ("sampled, with other means", sampled(0.2), continuous),
            ("discrete", right, ()),
        ):
            with self.subTest(name):
                result, _ = grade(act, *args)
                self.assertGreaterEqual(result.details.get("closest_pair", 1), policies.COPY)

    def test_probes_are_asked_also_where_a_run_is_short(self) -> None:
        """Checkpoint 0 lives longer than the others, and the other way round."""

        class Fragile(Targets):
            def step(self, actions: Any, draws: Any) -> Any:
                rewards, _ = super().step(actions, draws)
                return rewards, actions == 3

        def act(long: set[int]) -> Callable[..., Any]:
            def run(checkpoint: int, batch: Any, seed: int, call: int) -> list[int]:
                if checkpoint in long:
                    return np.random.default_rng([seed, checkpoint]).integers(3, size=len(batch)).tolist()
                return np.random.default_rng([seed, checkpoint]).integers(2, 4, size=len(batch)).tolist()

            return run

        for long in ({0}, {1, 2, 3, 4}):
            result, _ = grade(act(long), Fragile, steps=40)
            self.assertIn("closest_pair", result.details)

    def test_numbers(self) -> None:
        numbers = policies.Numbers(Stream(b"secret", "a"))
        drawn = numbers.uniform(2, 5000)
        self.assertEqual(drawn.shape, (2, 5000))
        self.assertTrue(((drawn >= 0) & (drawn < 1)).all())
        self.assertAlmostEqual(drawn.mean(), 0.5, delta=0.02)
        self.assertEqual(sorted(numbers.permutation(100).tolist()), list(range(100)))
        self.assertNotEqual(numbers.seed(), numbers.seed())
        again = policies.Numbers(Stream(b"secret", "a"))
        np.testing.assert_array_equal(again.uniform(2, 5000), drawn)
        other = policies.Numbers(Stream(b"secret", "b"))
        self.assertFalse((other.uniform(2, 5000) == drawn).any())

    def test_batches_arrive_as_they_were_sent(self) -> None:
        random = np.random.default_rng(1)
        for batch in (
            random.integers(2, size=(7, 10, 10, 4)).astype(np.uint8),
            random.integers(2, size=(3, 5)).astype(np.uint8),  # not a whole number of bytes
            random.normal(size=(7, 15)).astype(np.float32),
        ):
            got = harness_policies.observations(json.loads(json.dumps(policies.encode(batch))))
            self.assertEqual(got.dtype, np.float32)
            np.testing.assert_array_equal(got, batch)
            got[:] = 0  # the program may write into it

    def test_what_a_program_returns_becomes_json(self) -> None:
        plain = harness_policies.plain
        self.assertEqual(plain(np.array([1, 2]), 2), [1, 2])
        self.assertEqual(plain(np.array([[1.5], [2.5]], dtype=np.float32), 2), [1.5, 2.5])
        self.assertEqual(plain([np.int64(1), np.int64(2)], 2), [1, 2])
        self.assertEqual(plain(np.array([True, False]), 2), [True, False])
        self.assertEqual(plain(np.array([1.0, np.nan, np.inf]), 3), [1.0, None, None])
        with self.assertRaises(TypeError):
            plain(None, 2)


LOADS = "import numpy as np\ndef load(path):\n    return np.load(path, allow_pickle=False)['w']\n"


class Process(FakeSession if HAS_NUMPY else object):  # type: ignore[misc]
    """The harness in processes of its own, in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(None)
        self.folder = folder
        self.sockets: dict[str, Any] = {}
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, harness: str) -> Player:
        ours, theirs = socket.socketpair()
        script = PYTHON / "mlgym_player" / "harness.py"
        process = subprocess.Popen(
            ["/bin/sh", "-c", f'exec "$0" -I -B "$1" "$2" 3<&{theirs.fileno()}', sys.executable, script, harness],
            cwd=self.folder, pass_fds=(theirs.fileno(),), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        theirs.close()
        self.processes.append(process)
        self.sockets[name] = (ours, ours.makefile("rb"))
        return Player(self, name, True)

    def request(self, header: dict[str, Any], body: bytes | None = None) -> tuple[dict[str, Any], bytes]:
        ours, reader = self.sockets[header["player"]]
        if header["op"] == "stop":
            reader.close()
            ours.close()
            return {"ok": True}, b""
        ours.sendall(len(body).to_bytes(4, "big") + body)
        answer = reader.read(int.from_bytes(reader.read(4), "big"))
        return {"ok": bool(answer), "message": "is gone"}, answer

    def close(self) -> None:
        for ours, reader in self.sockets.values():
            reader.close()
            ours.close()
        for process in self.processes:
            process.wait(timeout=30)


@unittest.skipUnless(HAS_NUMPY, "SKIPPED, not tested: numpy is not installed")
class HarnessTest(unittest.TestCase):
    def grade(self, program: str) -> Any:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "checkpoints").mkdir()
            for i in range(5):
                np.savez(folder / "checkpoints" / f"{i}.npz", w=np.eye(4) * (5 + i))
            (folder / "policy.py").write_text(program)
            session = Process(folder)
            try:
                return policies.grade(session, Targets, policies.Discrete(4))
            finally:
                session.close()

    def test_a_program_is_scored(self) -> None:
        result = self.grade(
            LOADS + "def act(policy, observations, seed):\n"
            "    logits = observations @ policy\n"
            "    return np.argmax(logits + 2 * np.random.default_rng(seed).gumbel(size=logits.shape), axis=1)\n"
        )
        self.assertGreater(result.scores["Reward Mean"], 8)

    def test_what_is_wrong_is_told(self) -> None:
        act = LOADS + "def act(p, o, s):\n    "
        count = "n = 0\n" + act + "global n\n    n += 1\n    if n > 3:\n        "
        for name, program, text in (
            ("no act", LOADS, "policy.py defines no function act"),
            ("no load", "def act(p, o, s):\n    return [0] * len(o)\n", "policy.py defines no function load"),
            ("no syntax", "def load(:\n", "SyntaxError"),
            ("fails at once", act + "return o @ np.ones(3)\n", "could not be loaded: ValueError at line 5"),
            ("one action", act + "return 1\n", "has to return an array of actions, not int"),
            ("too few", act + "return o[1:, 0].astype(int)\n", "one action for each row: 32, not 31"),
            ("fractions", act + "return o[:, 0]\n", "integer from 0 to 3"),
            ("not finite", act + "return o[:, 0] * np.nan\n", "integer from 0 to 3"),
            (
                "fails later, and would tell what it saw",
                count + "raise ValueError(str(o))\n    return o.argmax(axis=1)\n",
                "The submitted program raised ValueError at line 9 of policy.py.",
            ),
            ("leaves", "import os\n" + act + "os._exit(0)\n", "is gone"),
        ):
            with self.subTest(name), self.assertRaises(Invalid) as caught:
                self.grade(program)
            self.assertIn(text, str(caught.exception))


TASKS = PYTHON.parent / "tasks"


class StarterTest(unittest.TestCase):
    """The starters of the tasks that are graded so."""

    def test_what_is_shared_is_the_same(self) -> None:
        for name in ("train.py", "evaluate.py"):
            texts = {path.read_text() for path in TASKS.glob(f"rl*/starter/{name}")}
            self.assertEqual(len(texts), 1, name)

    def load(self, task: str) -> Any:
        spec = importlib.util.spec_from_file_location(f"{task}_policy", TASKS / task / "starter" / "policy.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def act(self, task: str, observations: Any, outputs: list[float], seed: int) -> Any:
        """Act with a network whose outputs are always the same."""
        inputs = int(np.prod(observations.shape[1:]))
        with tempfile.TemporaryDirectory() as name:
            path = f"{name}/0.npz"
            arrays = {
                "actor_w0": np.ones((inputs, 8)),
                "actor_b0": -np.ones(8),
                "actor_w1": np.zeros((8, len(outputs))),
                "actor_b1": np.array(outputs),
                "critic_w0": np.ones((inputs, 1)),
            }
            np.savez(path, **{key: value.astype(np.float32) for key, value in arrays.items()})
            module = self.load(task)
            return module.act(module.load(path), observations, seed)

    @unittest.skipUnless(HAS_NUMPY, "SKIPPED, not tested: numpy is not installed")
    def test_discrete_policies_sample_the_softmax(self) -> None:
        for task, shape, share in (
            ("rlMetaMazeMisc", (15,), [0.1, 0.2, 0.3, 0.4]),
            ("rlBreakoutMinAtar", (10, 10, 4), [0.5, 0.3, 0.2]),
        ):
            with self.subTest(task):
                observations = np.random.default_rng(0).random((4000, *shape), dtype=np.float32)
                actions = self.act(task, observations, np.log(share).tolist(), seed=5)
                self.assertEqual((actions.shape, actions.dtype.kind), ((4000,), "i"))
                found = np.bincount(actions, minlength=len(share)) / len(actions)
                np.testing.assert_allclose(found, share, atol=0.03)
                again = self.act(task, observations, np.log(share).tolist(), seed=5)
                np.testing.assert_array_equal(actions, again)
                self.assertTrue((actions != self.act(task, observations, np.log(share).tolist(), seed=6)).any())

    @unittest.skipUnless(HAS_NUMPY, "SKIPPED, not tested: numpy is not installed")
    def test_continuous_policy_samples_the_normal_distribution(self) -> None:
        observations = np.zeros((4000, 2), dtype=np.float32)
        actions = self.act("rlMountainCarContinuous", observations, [0.5, 0.0], seed=5)
        self.assertEqual(actions.shape, (4000,))
        self.assertAlmostEqual(actions.mean(), 0.5, delta=0.05)
        self.assertAlmostEqual(actions.std(), math.log(2) + 0.001, delta=0.05)


if __name__ == "__main__":
    unittest.main()
