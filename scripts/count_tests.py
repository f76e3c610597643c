"""Counts the results of a test run and names what was skipped.

Reads the stream of `go test -json`, in which a package may be run again for tests
that failed. A Go test with subtests is not counted itself, unless it failed and
none of them did. One that failed and passed when it was run again alone is flaky:
it is named, and counts as passed. A package that failed though none of its tests
did (a build, a TestMain) stays failed. The last line of the output is "N passed,
N failed, N skipped"; the exit code is 0 when at least one test passed and none
failed.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Counts:
    """What a run came to."""

    passed: int = 0
    flaky: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


Test = tuple[str, str]
"""A package and the name of a test in it."""


def count_go(lines: list[str], counts: Counts) -> None:
    """Adds the results of a stream of `go test -json`."""
    ends: dict[Test, list[str]] = {}  # one of each run
    open_tests: dict[str, set[Test]] = {}
    told: set[str] = set()  # packages of which a test failed in the run under way
    output: dict[Test, list[str]] = {}
    broken: set[str] = set()
    for line in lines:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        package, test, action = event.get("Package", ""), event.get("Test", ""), event["Action"]
        under_way = open_tests.setdefault(package, set())
        if action == "output":
            output.setdefault((package, test), []).append(event["Output"])
        elif action in ("pass", "fail", "skip") and test:
            under_way.discard((package, test))
            ends.setdefault((package, test), []).append(action)
            if action == "fail":
                told.add(package)
        elif action in ("pass", "fail", "skip"):
            if action == "fail" and not under_way and package not in told:
                broken.add(package)
            told.discard(package)
            ended(under_way, ends)
        elif action == "run":
            under_way.add((package, test))
    for under_way in open_tests.values():
        ended(under_way, ends)
    parents = {(package, test.rpartition("/")[0]) for package, test in ends}
    failed = {test for test, runs in ends.items() if runs[-1] == "fail" or (runs[-1] == "skip" and "fail" in runs)}
    flaky = {test for test, runs in ends.items() if test not in failed and "fail" in runs}
    for test, runs in sorted(ends.items()):
        name = " ".join(test)
        if test in failed:
            if not below(failed, test):
                counts.failed.append(name)
            continue
        if test in parents and not (test in flaky and not below(failed | flaky, test)):
            continue
        if runs[-1] == "skip":
            counts.skipped.append((name, go_reason(output.get(test, []))))
            continue
        counts.passed += 1
        if test in flaky:
            counts.flaky.append(name)
    counts.failed += [f"{package} (the package)" for package in sorted(broken)]


def ended(under_way: set[Test], ends: dict[Test, list[str]]) -> None:
    """Takes the tests that are under way when their package ends: they were cut off."""
    for test in under_way:
        ends.setdefault(test, []).append("fail")
    under_way.clear()


def below(tests: set[Test], test: Test) -> bool:
    """Says whether a subtest of the test is among them."""
    return any(package == test[0] and name.startswith(test[1] + "/") for package, name in tests)


def go_reason(output: list[str]) -> str:
    """Finds what a skipped test said, behind "file_test.go:12: "."""
    said = [line.strip() for line in output if not line.lstrip().startswith(("---", "==="))]
    text = " ".join(line for line in said if line)
    place, colon, reason = text.partition(": ")
    return reason if colon and ".go:" in place else text or "no reason given"


def main(arguments: list[str]) -> int:
    """Prints the summary of the files named."""
    counts = Counts()
    for name in arguments:
        path = Path(name)
        if not path.exists():
            counts.failed.append(f"{path.name} was not written: those tests did not run")
        else:
            with path.open(encoding="utf-8", errors="replace") as stream:
                count_go(list(stream), counts)
    for test, reason in counts.skipped:
        print(f"skipped: {test}: {reason}")
    for test in counts.flaky:
        print(f"flaky: {test} failed once and passed when run again alone")
    for test in counts.failed:
        print(f"failed: {test}")
    print(f"{counts.passed} passed, {len(counts.failed)} failed, {len(counts.skipped)} skipped")
    return 0 if counts.passed and not counts.failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
