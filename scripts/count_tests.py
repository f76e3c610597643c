"""Counts the results of a test run and names what was skipped.

Reads the stream of `go test -json`. A Go test with subtests is not counted
itself, unless it failed and none of them did. The last line of the output is
"N passed, N failed, N skipped"; the exit code is 0 when at least one test passed
and none failed.
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
    failed: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def count_go(lines: list[str], counts: Counts) -> None:
    """Adds the results of a stream of `go test -json`."""
    ends: dict[tuple[str, str], str] = {}
    output: dict[tuple[str, str], list[str]] = {}
    packages: dict[str, str] = {}
    for line in lines:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        package, test, action = event.get("Package", ""), event.get("Test", ""), event["Action"]
        if action == "output":
            output.setdefault((package, test), []).append(event["Output"])
        elif action in ("pass", "fail", "skip"):
            if test:
                ends[package, test] = action
            else:
                packages[package] = action
        elif action == "run":
            # A test that never ends was cut off.
            ends.setdefault((package, test), "fail")
    parents = {(package, test.rpartition("/")[0]) for package, test in ends}
    broken = {package for (package, _), action in ends.items() if action == "fail"}
    for (package, test), action in sorted(ends.items()):
        name = f"{package} {test}"
        if (package, test) in parents and not (action == "fail" and not failed_below(ends, package, test)):
            continue
        if action == "pass":
            counts.passed += 1
        elif action == "fail":
            counts.failed.append(name)
        else:
            counts.skipped.append((name, go_reason(output.get((package, test), []))))
    for package, action in sorted(packages.items()):
        if action == "fail" and package not in broken:
            counts.failed.append(f"{package} (the package)")


def failed_below(ends: dict[tuple[str, str], str], package: str, test: str) -> bool:
    """Says whether a subtest of the test failed."""
    return any(
        action == "fail" and other == package and name.startswith(test + "/") for (other, name), action in ends.items()
    )


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
    for test in counts.failed:
        print(f"failed: {test}")
    print(f"{counts.passed} passed, {len(counts.failed)} failed, {len(counts.skipped)} skipped")
    return 0 if counts.passed and not counts.failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
