"""Environments of Gymnasium against a real server."""

import json
import subprocess
import warnings
from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
import pytest
from conftest import TASK
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import create_shared_memory, read_from_shared_memory, write_to_shared_memory
from mlgym import ClientClosed
from mlgym.client import request_json
from mlgym.gym import NONDETERMINISTIC, TASKS, MlgymEnv, MlgymVectorEnv, UnicodeText
from mlgym.server import find_binary

ID = "mlgym/battleOfSexes-v0"
BETTER = "printf 'def row_strategy(history):\\n    return 0\\n' > strategy.py"


def make(**kwargs: Any) -> MlgymEnv:
    env = gymnasium.make(ID, variant="small", **kwargs).unwrapped
    assert isinstance(env, MlgymEnv)
    return env


def test_ids() -> None:
    said = subprocess.run([find_binary(), "task", "list", "--json"], capture_output=True, check=True).stdout
    tasks = {task["id"]: task for task in json.loads(said)}
    assert set(TASKS) == set(tasks)
    assert {i for i, task in tasks.items() if task["metric"] == "Time"} == NONDETERMINISTIC
    for task in TASKS:
        assert gymnasium.spec(f"mlgym/{task}-v0").nondeterministic == (task in NONDETERMINISTIC)


def test_check_env() -> None:
    env = make(render_mode="ansi")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env)
    env.close()
    env.close()
    with pytest.raises(ClientClosed):
        env.reset()


def test_same_seed_same_episode() -> None:
    actions = ["ls -l", "python3 -c 'import random; print(1)'", BETTER, "validate", "echo ä $((6*7))", "submit"]
    seen = []
    for _ in range(2):
        env = make()
        seen.append([env.reset(seed=11), *map(env.step, actions)])
        env.close()
    # ls -l prints the time at which files were made.
    assert seen[0][0] == seen[1][0] and seen[0][2:] == seen[1][2:]
    assert seen[0][-1][2] and seen[0][-1][4]["exit_status"] == "submitted"
    assert seen[0][4][4]["evaluations"][0]["scores"]["Score"] > 1.3 and seen[0][4][1] > 0


def test_seeds_without_a_seed_can_be_repeated() -> None:
    def seeds() -> list[int]:
        env = make()
        env.reset(seed=5)
        drawn = [env.client.state().seed]
        for _ in range(2):
            env.reset()
            drawn.append(env.client.state().seed)
        env.close()
        return drawn

    first = seeds()
    assert first[0] == 5 and len(set(first)) == 3 and seeds() == first


def test_spaces() -> None:
    env = make()
    statement, _ = env.reset()
    assert statement in env.observation_space and "\n" in statement
    observation, *_ = env.step("printf 'a\\tä\\u2603\\n'")
    assert observation == "a\tä☃\n" and observation in env.observation_space
    flood, *_ = env.step("yes 0123456789 | head -c 1000000")
    assert flood in env.observation_space and len(flood) > 10000
    raw, *_ = env.step("head -c 2000 /dev/urandom")
    assert raw in env.observation_space
    odd, *_ = env.step("echo \ud800x")
    assert odd == "�x\n"
    with pytest.raises(ValueError, match="characters"):
        env.step("#" * (env.action_space.max_length + 1))
    assert env.step("#" * env.action_space.max_length)[4]["exit_code"] == 0
    with pytest.raises(TypeError, match="shell text"):
        env.step(3)
    env.close()
    space = UnicodeText(10, seed=1)
    assert space.sample() in space and len(space.sample(mask=(7, None))) == 7
    assert "\ud800" not in space and 3 not in space and "x" * 11 not in space
    assert space.clean("\ud800" + "x" * 20) in space


def test_options() -> None:
    env = make()
    with pytest.raises(ValueError, match="max_steps"):
        env.reset(options={"max_step": 3})
    _, info = env.reset(options={"max_steps": 1})
    assert info["steps_left"] == 1
    *_, terminated, truncated, info = env.step("true")
    assert truncated and not terminated and info["exit_status"] == "autosubmission (max_steps)"
    env.close()


def test_render() -> None:
    env = make(render_mode="ansi")
    env.reset()
    env.step("echo seen")
    assert env.render() == "[step 1] $ echo seen\nseen\n"
    env.step("validate")
    assert "[validate: {'Score':" in env.render()
    env.close()


def test_snapshot_restore_fork() -> None:
    env = make()
    env.reset(seed=3)
    env.step("kept=here")
    saved = env.snapshot()
    first = env.step("echo $kept; kept=there")
    env.restore(saved)
    again = env.step("echo $kept; kept=there")
    assert first[0] == again[0] == "here\n"
    children = env.fork(2)
    assert [child.step("echo $kept")[0] for child in children] == ["there\n"] * 2
    graded = [one.step("validate") for one in [env, *children]]
    assert graded[0][4]["evaluations"][0]["scores"] == graded[1][4]["evaluations"][0]["scores"]
    assert graded[1][:4] == graded[2][:4]
    for one in [env, *children]:
        one.close()


def test_lost_session_is_masked() -> None:
    env = make()
    env.reset()
    request_json(env.client._address, "POST", "/close", session_id=env.client.session_id)
    _, reward, terminated, truncated, info = env.step("ls")
    assert (reward, terminated, truncated, info["mask"]) == (0.0, False, True, True) and info["fault"]
    env.reset()
    assert env.step("echo on")[4]["mask"] is False
    env.close()


def test_texts_in_shared_memory() -> None:
    space = UnicodeText(20)
    memory = create_shared_memory(space, 2)
    seen = read_from_shared_memory(space, memory, 2)
    assert seen == ("", "")
    write_to_shared_memory(space, 1, "a\n\U0001f600", memory)
    assert seen == ("", "a\n\U0001f600") and seen[1] == "a\n\U0001f600"
    kept = deepcopy(seen)
    write_to_shared_memory(space, 1, "b", memory)
    assert kept == ("", "a\n\U0001f600") and type(kept) is tuple and list(seen) == ["", "b"]


def vector(kind: str, mode: AutoresetMode) -> gymnasium.vector.VectorEnv:
    if kind == "own":
        return gymnasium.make_vec(ID, num_envs=2, variant="small", max_steps=2, autoreset_mode=mode)
    return gymnasium.make_vec(
        ID, num_envs=2, vectorization_mode=kind, variant="small", max_steps=2, vector_kwargs={"autoreset_mode": mode}
    )


def plain(value: Any) -> Any:
    """Turns arrays into lists, so that results can be compared."""
    if isinstance(value, np.ndarray):
        return [plain(one) for one in value.tolist()]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value


def play(kind: str, mode: AutoresetMode) -> list[Any]:
    envs = vector(kind, mode)
    assert envs.metadata["autoreset_mode"] is mode and len(envs.action_space) == 2
    seen = [envs.reset(seed=21)]
    seen.append(envs.step(["echo a", "submit"]))  # the second terminates
    if mode is AutoresetMode.DISABLED:
        seen.append(envs.reset(options={"reset_mask": np.array([False, True])}))
    seen.append(envs.step(["validate", "echo b"]))  # the first is truncated
    if mode is AutoresetMode.DISABLED:
        seen.append(envs.reset(options={"reset_mask": np.array([True, False])}))
    seen.append(envs.step(["echo c", "validate"]))
    for result in seen:
        assert result[0] in envs.observation_space
    envs.close()
    envs.close()
    return plain(seen)


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_vectors_agree(mode: AutoresetMode) -> None:
    with warnings.catch_warnings():
        # Python 3.12 and later warn about forks beside threads, which a client has.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        expected = play("sync", mode)
        assert play("async", mode) == expected
    assert play("own", mode) == expected
    step = expected[1]
    assert step[2] == [False, True] and step[3] == [False, False]
    if mode is AutoresetMode.SAME_STEP:
        assert step[4]["final_info"]["exit_status"][1] == "submitted"


def test_vector_of_one_state() -> None:
    envs = MlgymVectorEnv(3, **TASK, same_state=True, max_steps=3, autoreset_mode="SameStep", render_mode="ansi")
    envs.reset(seed=4)
    envs.step([BETTER, "true", "true"])
    first = envs.step(["validate"] * 3)
    assert first[1][0] > first[1][1] == first[1][2]
    *_, infos = envs.step(["true"] * 3)
    assert infos["final_info"]["exit_status"].tolist() == ["autosubmission (max_steps)"] * 3
    assert infos["steps_left"].tolist() == [3] * 3
    envs.step(["validate"] * 3)
    scores = [graded[0]["scores"] for graded in envs.step(["validate"] * 3)[4]["evaluations"]]
    assert scores[0] == scores[1] == scores[2] and scores[0]
    assert envs.render()[0].startswith("[step 2] $ validate\n")
    envs.close()
    with pytest.raises(ClientClosed):
        envs.step(["true"] * 3)


def test_vector_begins_in_a_snapshot() -> None:
    envs = MlgymVectorEnv(2, **TASK)
    envs.reset(seed=[1, 1])
    envs.step(["kept=here", "true"])
    envs.reset(options={"snapshot": envs.snapshot(0)})
    assert envs.step(["echo $kept"] * 2)[0] == ("here\n", "here\n")
    with pytest.raises(ValueError, match="sequence"):
        envs.step("ls")
    with pytest.raises(ValueError, match="seeds"):
        envs.reset(seed=[1])
    envs.close()


def test_vector_names_what_is_over() -> None:
    envs = MlgymVectorEnv(2, **TASK, autoreset_mode=AutoresetMode.DISABLED)
    envs.reset()
    envs.step(["submit", "true"])
    with pytest.raises(ValueError, match=r"\[0\] are over"):
        envs.step(["true", "true"])
    envs.close()
