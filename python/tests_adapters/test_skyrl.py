"""The adapter for SkyRL in SkyRL's own registry of environments."""

import pytest
import skyrl_gym
from conftest import BEST, TASK, snippet
from mlgym.adapters.fenced import NoCommandError, find_command
from skyrl_gym.envs.base_text_env import BaseTextEnv

PROMPT = [{"role": "system", "content": "You are a researcher."}]


def make(server, **extras):
    if "mlgym" not in skyrl_gym.registry:
        exec(snippet("skyrl"), {})
    config = {"url": server, "task": TASK, "variant": "small"}
    return skyrl_gym.make("mlgym", env_config=config, extras={"seed": 5, **extras})


def fence(command: str) -> str:
    return f"I try this.\n\n```bash\n{command}\n```"


def test_an_episode(server):
    env = make(server, max_turns=10)
    assert isinstance(env, BaseTextEnv)
    try:
        messages, info = env.init(PROMPT)
        assert messages[0] == PROMPT[0] and len(PROMPT) == 1
        assert messages[1]["role"] == "user" and "strategy.py" in messages[1]["content"]
        assert info["task"] == TASK

        out = env.step("I only think.")
        assert not out["done"] and out["reward"] == 0
        assert "no fenced block" in out["observations"][0]["content"]
        out = env.step(fence("echo $((6 * 7))"))
        assert out["observations"] == [{"role": "user", "content": out["metadata"]["text"]}]
        assert out["observations"][0]["content"].startswith("42")
        env.step(fence(BEST))
        out = env.step(fence("submit"))
        assert out["done"] and out["reward"] > 0 and out["observations"] == []
        assert out["metadata"]["exit_status"] == "submitted" and not out["metadata"]["mask"]
        metrics = env.get_metrics()
        assert 1.3 < metrics["score/Score"] < 1.6
        assert env.aggregate_metrics([metrics, metrics])["reward"] == pytest.approx(out["reward"])
    finally:
        env.close()
        env.close()


def test_the_last_turn_hands_in(server):
    env = make(server, max_turns=2)
    try:
        env.init(PROMPT)
        assert not env.step(fence(BEST))["done"]
        out = env.step("no command in here")
        assert out["done"] and out["reward"] > 0 and out["metadata"]["exit_status"] == "submitted"
    finally:
        env.close()


def test_a_lost_server_masks(monkeypatch):
    monkeypatch.delenv("MLGYM_URL", raising=False)
    env = make(None, max_turns=5)  # with a server of its own
    env.init(PROMPT)
    server = env._rollout._client._address.local
    server._child.kill()
    server._child.wait()
    out = env.step(fence("ls"))
    assert out["done"] and out["reward"] == 0 and out["metadata"]["mask"] and out["metadata"]["fault"]
    assert env.get_metrics()["mask"] == 1 and env._rollout.finish() is None
    env.close()


def test_long_commands_are_interrupted(server):
    env = make(server, step_timeout_s=None)
    env._rollout._timeout = 0.5
    env.init(PROMPT)
    out = env.step(fence("here=1; sleep 600; echo too late"))
    assert not out["done"] and "too late" not in out["observations"][0]["content"].splitlines()
    env._rollout._timeout = None
    assert env.step(fence("echo here is $here"))["observations"][0]["content"].startswith("here is 1")
    env.close()


@pytest.mark.parametrize(
    ("answer", "command"),
    [
        ("```\nls\n```", "ls"),
        ("Look.\r\n```bash\r\nls -l\r\n```\r\nSo.", "ls -l"),
        ("<think>\n```\nrm -r /\n```\n</think>\n```\nls\n```", "ls"),
        ("  ```\n  a\n    b\n  ```", "a\n  b"),
        ("````\n```\nx\n```\n````", "```\nx\n```"),
    ],
)
def test_commands(answer, command):
    assert find_command(answer) == command


@pytest.mark.parametrize(
    "answer", ["", "ls", "```\nls", "```\n\n```", "```\na\n```\n```\nb\n```", "<think>```\nls\n```"]
)
def test_no_commands(answer):
    with pytest.raises(NoCommandError):
        find_command(answer)
