"""Tests of imported evaluations: what is run, in which workspace, and what of it is a score."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

from mlgym_grader import Invalid, Result, foreign


class ForeignTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name)
        for name in ("grader", "starter", "submission"):
            (self.home / name).mkdir()
        self.addCleanup(setattr, foreign, "_close_the_door", foreign._close_the_door)
        foreign._close_the_door = lambda: None  # it would close the tests' own process, for good

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def grade(self, **settings: object) -> Result:
        settings = {
            "kind": "mlgym",
            "metrics": ["accuracy"],
            "timeout_seconds": 30,
            "script": "evaluate.py",
            **settings,
        }
        self.write({"grader/foreign.json": json.dumps(settings)})
        session = SimpleNamespace(
            data=self.home / "data", starter=self.home / "starter", submission=self.home / "submission"
        )
        return foreign.grade(session, self.home / "grader")


class EvaluateTest(ForeignTest):
    def test_a_script_in_its_workspace(self) -> None:
        self.write(
            {
                "grader/hidden/evaluate.py": "import json, sys\nfrom pathlib import Path\nprint('reading')\n"
                "text = Path(sys.argv[1]).read_text() + Path('data/labels').read_text() + Path('kept').read_text()\n"
                "print(json.dumps({'Accuracy': len(text), 'n': 2, 'name': 'x'}, indent=1))\n",
                "grader/hidden/data/labels": "12",
                "starter/kept": "3",
                "submission/answer": "4567",
            }
        )
        got = self.grade(arguments=["answer"])
        self.assertEqual(dict(got.scores), {"accuracy": 7.0})
        self.assertEqual(dict(got.details), {"n": 2.0})

    def test_what_was_handed_in_changes_neither_script_nor_what_is_protected(self) -> None:
        cheat = "print('{\"accuracy\": 1}')\nraise SystemExit"
        self.write(
            {
                "grader/hidden/evaluate.py": "import engine, target\n"
                "print('{\"accuracy\": %s}' % (engine.X + target.X))",
                "grader/hidden/engine.py": "X = 0.25",
                "starter/target.py": "X = 0.5",
                "submission/evaluate.py": cheat,
                "submission/engine.py": cheat,
                "submission/target.py": cheat,
                "submission/engine/__init__.py": cheat,
                "submission/target/__init__.py": cheat,
                "submission/__pycache__/engine.cpython-311.pyc": "x",
            }
        )
        self.assertEqual(dict(self.grade(whole=True, restored=["target.py"]).scores), {"accuracy": 0.75})

    def test_modules_of_a_whole_workspace_do_not_take_the_place_of_pythons(self) -> None:
        cheat = "print('{\"accuracy\": 1}', flush=True)\nimport os\nos._exit(0)"
        self.write(
            {
                "grader/hidden/evaluate.py": "import json, sys, mine\n"
                "print(json.dumps({'accuracy': mine.X, 'n': len(sys.argv)}))",
                "submission/json.py": cheat,
                "submission/sitecustomize.py": cheat,
                "submission/mine.py": "X = 0.5",
            }
        )
        got = self.grade(whole=True, arguments=["a"])
        self.assertEqual((dict(got.scores), dict(got.details)), ({"accuracy": 0.5}, {"n": 2.0}))

    def test_data_of_all_splits_lie_where_they_lay(self) -> None:
        self.write(
            {
                "data/cards/a/train": "1",
                "data/cards_hidden/a/labels": "23",
                "submission/data/a/labels": "of the agent",
                "grader/hidden/evaluate.py": "print('{\"accuracy\": %d}' % len(open('data/a/train').read()"
                " + open('data/a/labels').read()))",
            }
        )
        self.assertEqual(self.grade(data="data").scores["accuracy"], 3)

    def test_what_is_no_score(self) -> None:
        for name, script, want in (
            ("crash", "raise KeyError('a hidden label')", "exit code 1 and printed no JSON (KeyError)."),
            ("own exception", "class Hidden(Exception): pass\nraise Hidden", "printed no JSON."),
            ("silence", "", "it printed no JSON."),
            (
                "another metric",
                'print(\'{"loss": 1, "f1": 2}\')',
                "no finite number for the metric accuracy; it gave f1, loss.",
            ),
            ("NaN", "print('{\"accuracy\": NaN}')", "no finite number"),
            ("text", 'print(\'{"accuracy": "1"}\')', "no finite number"),
            ("too slow", "import time; time.sleep(60)", "did not end within 1 s"),
        ):
            with (
                self.subTest(name),
                self.assertRaisesRegex(Invalid, want.replace("(", r"\(").replace(")", r"\)")) as got,
            ):
                self.write({"grader/hidden/evaluate.py": script})
                self.grade(timeout_seconds=1 if name == "too slow" else 30)
            self.assertNotIn("hidden label", str(got.exception))

    def test_the_last_object_counts(self) -> None:
        for text, want in (
            ('{"a": 1}', {"a": 1}),
            ('log\n{"a": 1}\n{"a": 2}\nbye', {"a": 2}),
            ('{"a": {\n"b": 1}\n}\n', {"a": {"b": 1}}),
            ("{'a': 1}\n", None),
            ('x {"a": 1}', None),
            ("{" * 5000, None),
            ("", None),
        ):
            with self.subTest(text[:30]):
                self.assertEqual(foreign.last_object(text), want)

    def test_the_first_yaml(self) -> None:
        self.write(
            {"grader/hidden/evaluate.py": "import sys\nprint('{\"accuracy\": %d}' % len(open(sys.argv[2]).read()))"}
        )
        with self.assertRaisesRegex(Invalid, "no \\*.yaml"):
            self.grade(whole=True, first_yaml="--config_fname")
        self.write({"submission/b/config.yaml": "four", "submission/data/a.yaml": "x", "submission/c.yaml": "longer"})
        self.assertEqual(self.grade(whole=True, first_yaml="--config_fname").scores["accuracy"], 4)


class VerifyTest(ForeignTest):
    def verify(self, script: str, metrics: tuple[str, ...] = ("reward",)) -> Result:
        logs = self.home / "logs" / "verifier"
        self.write({"grader/tests/test.sh": f"#!/bin/bash\nL={logs}\n{script}\n"})
        return self.grade(kind="harbor", metrics=list(metrics), script="", env={"LEVEL": "3"})

    def test_rewards(self) -> None:
        for name, script, want in (
            ("text", "echo 0.5 > $L/reward.txt", 0.5),
            ("the exit code does not count", "echo 1 > $L/reward.txt; exit 3", 1),
            ("json", 'echo \'{"reward": 0.25, "n": 3}\' > $L/reward.json', 0.25),
            ("json wins", "echo '{\"reward\": 0.25}' > $L/reward.json; echo 1 > $L/reward.txt", 0.25),
            ("one number of another name", "echo '{\"points\": 7}' > $L/reward.json", 7),
            ("a variable, and what was handed in", "echo $LEVEL$(cat answer) > $L/reward.txt", 34),
        ):
            with self.subTest(name):
                self.write({"submission/answer": "4"})
                self.assertEqual(self.verify(script).scores["reward"], want)

    def test_a_reward_that_was_handed_in_does_nothing(self) -> None:
        self.write({"submission/logs/verifier/reward.json": '{"reward": 1}', "submission/reward.txt": "1"})
        self.assertEqual(self.verify("echo 0 > $L/reward.txt").scores["reward"], 0)

    def test_faults(self) -> None:
        for name, script in (
            ("none", "true"),
            ("empty", ": > $L/reward.txt"),
            ("empty json before text", ": > $L/reward.json; echo 1 > $L/reward.txt"),
            ("words", "echo good > $L/reward.txt"),
            ("NaN", "echo nan > $L/reward.txt"),
            ("infinite", "echo '{\"reward\": Infinity}' > $L/reward.json"),
            ("nested", 'echo \'{"reward": {"a": 1}}\' > $L/reward.json'),
            ("a list", "echo '[1]' > $L/reward.json"),
            ("a truth value", "echo '{\"reward\": true}' > $L/reward.json"),
            ("other names", 'echo \'{"a": 1, "b": 2}\' > $L/reward.json'),
            ("a link", "echo 1 > x; ln -s $PWD/x $L/reward.txt"),
            ("a folder", "mkdir $L/reward.json"),
        ):
            with self.subTest(name), self.assertRaises((RuntimeError, ValueError)) as got:
                self.verify(script)
            self.assertNotIsInstance(got.exception, Invalid)


if __name__ == "__main__":
    unittest.main()
