"""Grades with the evaluation that came with an imported task.

``mlgym task import`` writes ``foreign.json`` beside ``grade.py``; it says how the
task's own evaluation is run. That happens in the grader's sandbox, in a workspace
put together anew: the files that were handed in, over the starter's, and over both
what the agent never had: the evaluation script and hidden files.

Where the evaluation runs code of the agent, that code runs beside it, as the same
user. It can then deceive this one evaluation, as it could at home; it cannot speak
for the grader, and it reaches no other grading.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlgym_grader.session import Invalid, Result, Session

MAX_OUTPUT_BYTES = 1 << 20  # so much of what an evaluation prints is looked at
MAX_REWARD_BYTES = 1 << 20
SHOWN_BYTES = 4096  # so much of it goes into the log
_EXCEPTION = re.compile(r"([A-Za-z_]\w*)(:|\s*$)")


@dataclass(frozen=True)
class Settings:
    """What foreign.json says; paths are relative to the workspace."""

    kind: str
    """mlgym (a script prints JSON) or harbor (tests write a reward)."""
    metrics: list[str]
    timeout_seconds: float
    whole: bool = False
    """The whole workspace was handed in: the starter's files are in it, or were removed."""
    restored: list[str] = field(default_factory=list)
    """Files and folders of the starter that are put back as they were given out."""
    data: str = ""
    """Where in the workspace the files of all splits of the task's data lie, as links; empty for none."""
    script: str = ""
    arguments: list[str] = field(default_factory=list)
    module: list[str] = field(default_factory=list)
    """A Python module, with its arguments, that runs the script, such as torch.distributed.run."""
    first_yaml: str = ""
    """The option that names the first YAML file of the workspace; empty for none."""
    env: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    """Absolute folders that the tests expect."""


def grade(session: Session, folder: Path, home: Path | None = None) -> Result:
    """Grade as foreign.json in the grader's folder says."""
    home = home or folder.parent
    settings = Settings(**json.loads((folder / "foreign.json").read_text(encoding="utf-8")))
    workspace = compose(session, folder, home / "workspace", settings)
    _close_the_door()
    if settings.kind == "harbor":
        return _verify(folder, home, workspace, settings)
    return _evaluate(home, workspace, settings)


def compose(session: Session, folder: Path, workspace: Path, settings: Settings) -> Path:
    """Put the workspace of the evaluation together, and return it."""
    workspace.mkdir(exist_ok=True)
    if not settings.whole:
        _copy(session.starter, workspace)
    _copy(session.submission, workspace)
    for name in settings.restored:
        _remove(workspace / name)
        _copy(session.starter / name, workspace / name)
    if settings.data:
        _remove(workspace / settings.data)
        for split in sorted(path for path in session.data.iterdir() if path.is_dir()):
            for path in sorted(path for path in split.rglob("*") if path.is_file()):
                target = workspace / settings.data / path.relative_to(split)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(path)
    hidden = folder / "hidden"
    modules = [workspace / name for name in settings.restored if name.endswith(".py")]
    if hidden.is_dir():
        for path in sorted(hidden.rglob("*")):
            target = workspace / path.relative_to(hidden)
            if path.is_dir():
                if target.exists() and not target.is_dir():
                    target.unlink()
                target.mkdir(parents=True, exist_ok=True)
                continue
            _remove(target)
            shutil.copy2(path, target)
            modules.append(target)
    # Python would take these in the place of the modules: what a cheat compiled before.
    for cache in [path for path in workspace.rglob("__pycache__") if path.is_dir()]:
        shutil.rmtree(cache)
    for module in modules:
        if module.suffix == ".py":
            compiled = module.parent.glob(f"{module.stem}.*so")
            for shadow in [module.with_suffix(""), module.with_suffix(".pyc"), *compiled]:
                _remove(shadow)
    return workspace


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _close_the_door() -> None:
    """Keep other programs of this user out of this process, whose descriptor 3 speaks for the grader."""
    dumpable = 4  # PR_SET_DUMPABLE
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(dumpable, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the grader could not be closed to other programs")


@dataclass(frozen=True)
class _Ended:
    code: int
    out: str
    err: str


def _run(command: list[str], workspace: Path, home: Path, settings: Settings) -> _Ended:
    """Run a program to its end, and end what it started."""
    logs = home / "said"
    logs.mkdir(exist_ok=True)
    out, err = logs / "out", logs / "err"
    with out.open("wb") as out_file, err.open("wb") as err_file:
        process = subprocess.Popen(
            command,
            cwd=workspace,
            env={**os.environ, **settings.env},
            stdin=subprocess.DEVNULL,
            stdout=out_file,
            stderr=err_file,
            start_new_session=True,
        )
        try:
            code = process.wait(settings.timeout_seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    ended = _Ended(-1 if code is None else code, _end(out), _end(err))
    print(f"{command} ended with {code}", "standard output:", ended.out[-SHOWN_BYTES:], sep="\n")
    print("standard error:", ended.err[-SHOWN_BYTES:], sep="\n", flush=True)
    if code is None:
        raise Invalid(f"The evaluation of this submission did not end within {settings.timeout_seconds:g} s.")
    return ended


def _end(path: Path) -> str:
    """Return the end of a file as text."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MAX_OUTPUT_BYTES))
        return file.read(MAX_OUTPUT_BYTES).decode("utf-8", "replace")


# Scripts that print JSON.

# Anything may lie in a workspace that was handed in as a whole, such as a json.py: modules of Python itself and of the
# environment come first there, and not, as usual, those beside the script.
LIBRARIES_FIRST = """
import os, runpy, sys
sys.argv = sys.argv[1:]
sys.path.append(os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def _evaluate(home: Path, workspace: Path, settings: Settings) -> Result:
    script = workspace / settings.script
    command = [sys.executable]
    if settings.module:
        command += ["-m", *settings.module]
    elif settings.whole:
        command += ["-P", "-c", LIBRARIES_FIRST]
    command += [str(script), *settings.arguments]
    if settings.first_yaml:
        found = sorted(p for end in ("yaml", "yml") for p in workspace.rglob(f"*.{end}") if "data" not in p.parts)
        if not found:
            raise Invalid("There is no *.yaml file in the workspace; the evaluation reads the first one.")
        command += [settings.first_yaml, str(found[0])]
    ended = _run(command, workspace, home, settings)
    printed = last_object(ended.out)
    if printed is None:
        how = f"ended with exit code {ended.code} and " if ended.code else ""
        why = f"it {how}printed no JSON{_why(ended.err)}"
        raise Invalid(f"The evaluation script could not score this submission: {why}.")
    return choose(printed, settings.metrics, Invalid)


def _why(text: str) -> str:
    """Return the name of Python's own exception that ended a script; its text could tell what is hidden."""
    lines = text.strip().splitlines()
    found = _EXCEPTION.match(lines[-1]) if lines else None
    name = found.group(1) if found else ""
    kind = getattr(builtins, name, None)
    return f" ({name})" if isinstance(kind, type) and issubclass(kind, BaseException) else ""


def last_object(text: str) -> dict[str, Any] | None:
    """Return the last JSON object that begins on a line of its own, None without one."""
    decoder = json.JSONDecoder()
    last, at = None, 0
    while at < len(text):
        if text[at] == "{":
            with contextlib.suppress(ValueError, RecursionError):
                value, at = decoder.raw_decode(text, at)
                last = value
        line_end = text.find("\n", at)
        at = len(text) if line_end < 0 else line_end + 1
        while at < len(text) and text[at] in " \t\r":
            at += 1
    return last


def choose(found: dict[str, Any], metrics: list[str], failure: type[Exception]) -> Result:
    """Return the metrics among what an evaluation gave, and its other numbers as details."""
    numbers = {name: float(value) for name, value in found.items() if _is_number(value)}
    scores: dict[str, float] = {}
    for metric in metrics:
        same = [name for name in numbers if name == metric]
        same = same or [name for name in numbers if name.lower() == metric.lower()]
        if not same and len(metrics) == 1 and len(found) == 1:
            same = list(numbers)
        if len(same) != 1:
            names = ", ".join(sorted(str(name)[:40] for name in found)[:20]) or "nothing"
            raise failure(f"The evaluation gave no finite number for the metric {metric}; it gave {names}.")
        scores[metric] = numbers.pop(same[0])
    return Result(scores, dict(list(numbers.items())[:50]))


def _is_number(value: object) -> bool:
    if type(value) not in (int, float):
        return False
    try:
        return math.isfinite(float(value))  # type: ignore[arg-type]
    except OverflowError:
        return False


# Tests that write a reward.


def _verify(folder: Path, home: Path, workspace: Path, settings: Settings) -> Result:
    for name in settings.folders:
        Path(name).mkdir(parents=True, exist_ok=True)
    logs = home / "logs" / "verifier"
    logs.mkdir(parents=True, exist_ok=True)
    tests = folder / "tests"
    for path in tests.rglob("*"):
        if path.is_file() and (path.suffix == ".sh" or path.open("rb").read(2) == b"#!"):
            path.chmod(0o755)
    for name in ("reward.json", "reward.txt"):
        (logs / name).unlink(missing_ok=True)
    _run(["bash", "-c", 'exec "$0"', settings.script or str(tests / "test.sh")], workspace, home, settings)
    return read_reward(logs, settings.metrics)


def read_reward(logs: Path, metrics: list[str]) -> Result:
    """Return the reward that tests left in a folder.

    reward.json, a flat object of finite numbers, counts before reward.txt, one
    number. Tests that leave none, or another thing, have failed; that is no score
    of the agent's.
    """
    path = next((logs / name for name in ("reward.json", "reward.txt") if (logs / name).exists()), None)
    if path is None:
        raise RuntimeError(f"the task's tests wrote neither reward.json nor reward.txt into {logs}")
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_REWARD_BYTES:
        raise RuntimeError(f"{path.name} of the task's tests is no regular file of at most {MAX_REWARD_BYTES} bytes")
    text = path.read_text(encoding="utf-8").strip()
    if not text:
        raise RuntimeError(f"{path.name} of the task's tests is empty")
    if path.name == "reward.txt":
        found: object = {"reward": float(text)}
    else:
        found = json.loads(text)
    if type(found) is not dict or not found or not all(_is_number(value) for value in found.values()):
        raise RuntimeError(f"{path.name} of the task's tests is no flat object of finite numbers: {text[:200]!r}")
    return choose(found, metrics, RuntimeError)
