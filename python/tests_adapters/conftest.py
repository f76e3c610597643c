"""What the tests of the adapters share: a server that is started once."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlgym.server import find_binary

TASK = "battleOfSexes"

# The best play there is, and the file that it goes into.
BEST = "printf 'def row_strategy(history):\\n    return 0\\n' > strategy.py"


GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "train.md"


def snippet(name: str) -> str:
    """The block of the guide whose first line is the comment "check: NAME"."""
    _, _, rest = GUIDE.read_text().partition(f"\n# check: {name}\n")
    text, fence, _ = rest.partition("\n```\n")
    assert fence, f"the guide has no block {name}"
    return text


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a server with the small battleOfSexes, without a token."""
    log = tempfile.TemporaryFile()  # noqa: SIM115
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(find_binary()), "serve", "--addr", "127.0.0.1:0", "--with-parent", "--json",
            "--task", TASK, "--variant", "small", "--runs", str(Path(folder, "runs")),
        ]  # fmt: skip
        env = {k: v for k, v in os.environ.items() if k not in ("MLGYM_URL", "MLGYM_TOKEN")}
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=env)
        try:
            line = child.stdout.readline()
            if not line:
                child.wait(10)
                log.seek(0)
                raise RuntimeError(f"mlgym serve did not start: {log.read().decode()}")
            yield json.loads(line)["url"]
        finally:
            child.stdin.close()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                raise
