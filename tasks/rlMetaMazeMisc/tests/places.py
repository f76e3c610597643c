"""Where the tests find the task's sources."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

TASK = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TASK.parent.parent / "python"))


def load(*parts: str) -> ModuleType:
    """Load a module of the task under a name of its own."""
    path = TASK.joinpath(*parts)
    spec = importlib.util.spec_from_file_location("_".join(parts).removesuffix(".py"), path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
