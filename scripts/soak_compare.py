"""Compare an experiment that was killed again and again with an undisturbed one.

Usage: soak_compare.py MLGYM UNDISTURBED KILLED
"""

import json
import subprocess
import sys
from pathlib import Path


def episodes(mlgym: str, directory: Path) -> dict[str, tuple]:
    """Return what decides the tables, by the digest of each episode."""
    text = subprocess.run(
        [mlgym, "experiment", "status", str(directory), "--json"], check=True, capture_output=True, text=True
    ).stdout
    return {
        e["id"]: (e["name"], e["state"], e["exit_status"], e["step"], e["best"], e["submission"])
        for e in json.loads(text)["episodes"]
    }


def rows(directory: Path) -> list[str]:
    """Return the rows of the report without what differs between any two runs."""
    report = json.loads((directory / "report" / "report.json").read_text())
    kept = [{k: v for k, v in row.items() if k not in ("id", "path", "run")} for row in report["runs"]]
    return sorted(json.dumps(row, sort_keys=True) for row in kept)


def main(mlgym: str, whole: Path, killed: Path) -> int:
    """Say each difference and return their number."""
    problems = []
    want, got = episodes(mlgym, whole), episodes(mlgym, killed)
    for key in sorted(want.keys() | got.keys()):
        if want.get(key) != got.get(key):
            problems.append(f"{key}: undisturbed {want.get(key)}, killed {got.get(key)}")
    if rows(whole) != rows(killed):
        problems.append("the rows of the two reports differ")
    attempts = 0
    for cell in sorted((killed / "cells").iterdir()):
        shown, hidden = len(list(cell.glob("attempt-*"))), len(list(cell.glob(".attempt-*")))
        attempts += shown + hidden
        if shown != 1 or not (cell / "outcome.json").exists():
            problems.append(f"{cell.name}: {shown} attempts that count, outcome: {(cell / 'outcome.json').exists()}")
        if leftovers := [p.name for p in cell.glob(".new-*")]:
            print(f"{cell.name}: a kill left {leftovers}")
    print(f"{len(got)} episodes in {attempts} attempts, {len(problems)} differences")
    for problem in problems:
        print(problem)
    return len(problems)


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
