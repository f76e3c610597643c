"""The unmodified OpenEnv client, validator and graders against mlgym serve."""

import asyncio
import json
import math
import subprocess
import sys
from types import SimpleNamespace

import httpx
import pytest
from conftest import BEST, TASK, snippet
from openenv import GenericEnvClient
from openenv.core.env_server.mcp_types import CallToolAction
from openenv.core.mcp_client import MCPToolClient
from openenv.validation.graders.runtime import ObservationSchemaGrader, RewardWellFormedGrader, StateContractGrader
from openenv.validation.runtime.collector import collect_runtime_evidence
from openenv.validation.runtime.contracts import RuntimePlan
from openenv.validation.types import CheckStatus


def play(env, result):
    """Plays one episode with a blocking client and checks each reply."""
    assert result.reward is None or result.reward == 0
    assert result.done is False
    assert "strategy.py" in result.observation["text"]
    assert result.observation["task"] == TASK
    state = env.state()
    assert state["step_count"] == 0 and state["task"] == TASK and not state["done"]

    result = env.step({"command": "echo one; exit_code() { return 3; }; exit_code"})
    assert result.observation["text"].startswith("one")
    assert result.metadata["exit_code"] == 3
    assert result.reward == 0 and not result.done

    result = env.step({"command": BEST})
    assert not result.done
    result = env.step({"command": "validate"})
    scores = result.metadata["evaluations"][0]["scores"]
    assert 1.3 < scores["Score"] < 1.6
    assert not result.done
    earned = result.reward

    result = env.step({"command": "submit"})
    assert result.done is True
    assert result.metadata["terminated"] is True and result.metadata["truncated"] is False
    assert result.metadata["exit_status"] == "submitted"
    assert math.isfinite(result.reward)
    state = env.state()
    assert state["done"] and state["step_count"] == 4
    assert state["total_reward"] == pytest.approx(earned + result.reward)
    low, high = state["reward_range"]
    assert low <= earned <= high and low <= result.reward <= high
    assert earned + result.reward > 0
    return earned + result.reward


def test_sync_client(server):
    with GenericEnvClient(base_url=server).sync() as env:
        first = play(env, env.reset(seed=7, episode_id="an-episode"))
        # The same connection, the same seed: the same rewards.
        assert play(env, env.reset(seed=7)) == pytest.approx(first)


def test_state_echoes_the_episode(server):
    with GenericEnvClient(base_url=server).sync() as env:
        env.reset(episode_id="an-episode")
        assert env.state()["episode_id"] == "an-episode"


def test_async_clients_side_by_side(server):
    async def one(seed: int) -> str:
        async with GenericEnvClient(base_url=server) as env:
            await env.reset(task=TASK, variant="small", seed=seed)
            await env.step({"command": f"export MINE={seed}"})
            result = await env.step({"command": "echo mine is $MINE"})
            return result.observation["text"].strip()

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*(one(seed) for seed in range(4)))

    assert asyncio.run(all_of_them()) == [f"mine is {seed}" for seed in range(4)]


def test_errors_leave_the_connection_usable(server):
    with GenericEnvClient(base_url=server).sync() as env:
        with pytest.raises(RuntimeError, match=r"battleOfSexes.*VALIDATION_ERROR"):
            env.reset(task="battleOfSexs")
        env.reset()
        with pytest.raises(RuntimeError, match="VALIDATION_ERROR"):
            env.step({"comand": "ls"})
        assert "strategy.py" in env.step({"command": "ls"}).observation["text"]
        env.step({"command": "submit"})
        with pytest.raises(RuntimeError, match=r"(EXECUTION|VALIDATION)_ERROR"):
            env.step({"command": "ls"})


def test_mcp_client(server):
    async def run() -> None:
        async with MCPToolClient(base_url=server) as env:
            await env.reset()
            tools = {tool.name: tool for tool in await env.list_tools()}
            assert {"bash", "open", "edit", "validate", "submit"} <= set(tools)
            assert "command" in tools["bash"].input_schema["properties"]
            assert not {"reset", "step", "state", "close"} & set(tools)
            # Over HTTP, in the episode of the WebSocket.
            assert "strategy.py" in str(await env.call_tool("bash", command="ls"))
            result = await env.step(CallToolAction(tool_name="bash", arguments={"command": "echo hello"}))
            assert result.observation.tool_name == "bash"
            assert "hello" in str(result.observation.result) and result.observation.error is None
            result = await env.step(CallToolAction(tool_name="fly", arguments={}))
            assert result.observation.error.error_type.value == "tool_not_found"
            assert (await env.state()).step_count >= 2

    asyncio.run(run())


def test_validate_url(server):
    command = [sys.executable, "-m", "openenv.cli", "validate", "--url", server, "--json"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    report = json.loads(found.stdout)
    failed = [c for c in report["criteria"] if not c["passed"]]
    assert found.returncode == 0 and not failed and report["passed"], failed
    assert report["mode"] == "simulation" and report["standard_profile"] == "openenv-http/1.x"


def test_level_two_graders(server):
    with GenericEnvClient(base_url=server).sync() as env:
        env.reset()
        reward_range = env.state()["reward_range"]
    plan = RuntimePlan.model_validate(
        {
            "plan_schema_version": "1",
            "reset": {"episode_id": "graded", "seed": 3, "options": {"task": TASK, "variant": "small"}},
            "actions": [
                {"command": "ls"},
                {"type": "list_tools"},
                {"type": "call_tool", "tool_name": "bash", "arguments": {"command": BEST}},
                {"command": "exit 3"},
                {"command": "validate"},
                {"command": "submit"},
            ],
        }
    )
    evidence = collect_runtime_evidence(server, plan, episode_timeout_s=120)
    assert evidence.failure_reason is None, evidence.failure_reason
    assert [x.operation for x in evidence.exchanges] == ["reset", "state", *["step", "state"] * 6]
    subject = SimpleNamespace(
        runtime_evidence=evidence, manifest=SimpleNamespace(reward=SimpleNamespace(range=tuple(reward_range)))
    )
    for grader in (RewardWellFormedGrader(), ObservationSchemaGrader(), StateContractGrader()):
        result = grader.run(subject)
        assert result.status is CheckStatus.PASS, (grader.check_id, result.evidence)


def test_tasks_api(server):
    with httpx.Client(base_url=server) as http:
        environments = http.get("/list_environments").json()
        assert environments == ["mlgym"]
        splits = http.get("/mlgym/splits").json()
        assert {split["type"] for split in splits} <= {"train", "validation", "test"}
        name = splits[0]["name"]
        tasks = http.post("/mlgym/tasks", json={"split": name}).json()["tasks"]
        index = next(i for i, task in enumerate(tasks) if task["task"] == TASK)
        assert http.post("/mlgym/num_tasks", json={"split": name}).json() == {"num_tasks": len(tasks)}
        assert http.post("/mlgym/task", json={"split": name, "index": index}).json() == {"task": tasks[index]}
        part = http.post("/mlgym/task_range", json={"split": name, "start": 1, "stop": 3}).json()
        assert part["tasks"] == tasks[1:3]
        assert http.get("/nobody/splits").status_code == 404
        assert http.post("/mlgym/task", json={"split": name, "index": len(tasks)}).status_code == 400
    with GenericEnvClient(base_url=server).sync() as env:
        assert env.reset(split=name, index=index).observation["task"] == TASK


def test_the_guide(server, capsys):
    exec(snippet("openenv").replace("http://127.0.0.1:8000", server), {})
    assert capsys.readouterr().out.strip().endswith("True")
