"""The Python of the guide runs as it stands there."""

from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "train.md"


def blocks() -> list[tuple[int, str]]:
    """The blocks that say of themselves that they run, with the lines that they begin at."""
    found: list[tuple[int, str]] = []
    lines = GUIDE.read_text().splitlines()
    for number, line in enumerate(lines):
        if line == "```python" and lines[number + 1] == "# check: runs":
            end = lines.index("```", number)
            found.append((number + 1, "\n" * (number + 1) + "\n".join(lines[number + 1 : end])))
    return found


@pytest.mark.parametrize(("line", "code"), blocks(), ids=lambda value: str(value) if isinstance(value, int) else "")
def test_block(line: int, code: str) -> None:
    exec(compile(code, GUIDE, "exec"), {"__name__": f"line {line}"})


def test_there_are_blocks() -> None:
    assert len(blocks()) >= 5
