"""veRL's own registry of tools and its own tool loop, over real episodes.

The model is a list of answers: veRL's engines need a GPU.
"""

import asyncio
import gc
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import BEST, snippet
from mlgym.adapters.verl import MlgymBashTool
from mlgym.adapters.verl_loop import MlgymAgentLoop
from omegaconf import OmegaConf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from verl.experimental.agent_loop.agent_loop import DictConfigWrap, ToolListWrap
from verl.tools.schemas import ToolResponse
from verl.tools.tool_registry import initialize_tools_from_config
from verl.workers.rollout.replica import TokenOutput

CHATML = (
    "{% if tools %}{{ '<|im_start|>system\n' + (tools | tojson) + '<|im_end|>\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + (m.content or '') + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def tools(server, folder: Path) -> list[MlgymBashTool]:
    config = folder / "tools.yaml"
    config.write_text(snippet("verl").replace("http://127.0.0.1:8000", server))
    made = initialize_tools_from_config(str(config))
    assert made[0].name == "bash" and made[0].tool_schema.function.parameters.required == ["command"]
    return made


def test_the_life_of_an_instance(server, tmp_path):
    (tool,) = tools(server, tmp_path)

    async def run():
        name, response = await tool.create(create_kwargs={"seed": 3})
        assert isinstance(response, ToolResponse) and response.is_empty()
        response, reward, facts = await tool.execute(name, {"command": "export A=1; ls"})
        assert "strategy.py" in response.text and reward == 0 and facts["steps"] == 1
        response, _, _ = await tool.execute(name, {"command": "echo A is $A"})
        assert response.text.startswith("A is 1")
        response, _, facts = await tool.execute(name, {})
        assert "needs the argument command" in response.text and facts == {}
        await tool.execute(name, {"command": BEST})
        reward = await tool.calc_reward(name)
        assert reward > 0 and await tool.calc_reward(name) == reward
        await tool.release(name)
        await tool.release(name)

    asyncio.run(run())


def test_a_trajectory_outlives_its_calls(server, tmp_path):
    (tool,) = tools(server, tmp_path)

    class Data:
        request_id = "a"

    async def call(data, command):
        name, _ = await tool.create(create_kwargs={})
        response, _, _ = await tool.execute(name, {"command": command}, agent_data=data)
        await tool.release(name)
        return response.text

    async def run():
        data, other = Data(), Data()
        other.request_id = "b"
        # Two calls of one turn, side by side, are in one shell.
        await asyncio.gather(call(data, "A=1"), call(data, "B=2"))
        assert (await call(data, "echo $A$B")).startswith("12")
        assert not (await call(other, "echo $A$B")).startswith("12")
        client = tool._trajectories["a"]._client
        del data
        gc.collect()
        assert "a" not in tool._trajectories and "b" in tool._trajectories
        async with asyncio.timeout(10):
            while not client.closed:
                await asyncio.sleep(0)
        facts = await tool.finish("b")
        assert facts["exit_status"] == "submitted"
        assert await tool.finish("b") is None

    asyncio.run(run())


class Scripted:
    """What veRL asks for tokens."""

    def __init__(self, words, answers):
        self.words, self.answers, self.prompts = words, list(answers), []

    async def generate(self, request_id, *, prompt_ids, **_):
        self.prompts.append(self.words.decode(prompt_ids))
        ids = self.words.encode(self.answers.pop(0) + "<|im_end|>")
        return TokenOutput(token_ids=ids, log_probs=[0.0] * len(ids))


def bash(command):
    return f"<tool_call>\n{json.dumps({'name': 'bash', 'arguments': {'command': command}})}\n</tool_call>"


def loop_of(tool, answers):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    words = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    words.chat_template = CHATML
    multi_turn = {
        "max_user_turns": 8, "max_assistant_turns": 8, "max_parallel_calls": 2, "max_tool_response_length": 2000,
        "tool_response_truncate_side": "middle", "format": "hermes",
    }  # fmt: skip
    rollout = {"multi_turn": multi_turn, "prompt_length": 2048, "response_length": 8192}
    config = OmegaConf.create({"actor_rollout_ref": {"rollout": rollout, "model": {}}})
    model = Scripted(words, answers)
    loop = MlgymAgentLoop(
        trainer_config=DictConfigWrap(config),
        server_manager=model,
        tokenizer=words,
        processor=None,
        dataset_cls=SimpleNamespace,
        data_config=DictConfigWrap(OmegaConf.create({"continuous_token": {"enable": False}})),
        tools=ToolListWrap([tool]),
    )
    return loop, model


@pytest.mark.parametrize(
    ("answers", "reward", "status"),
    [
        ([bash("ls"), bash(BEST) + bash("echo done"), "That is all."], True, "submitted"),
        ([bash(BEST), bash("submit"), "Done."], True, "submitted"),
        (["I do nothing."], False, None),
    ],
)
def test_the_tool_loop(server, tmp_path, answers, reward, status):
    (tool,) = tools(server, tmp_path)

    async def run():
        loop, model = loop_of(tool, answers)
        kwargs = {"bash": {"create_kwargs": {"seed": 8}}}
        prompt = [{"role": "user", "content": "Improve the strategy."}]
        output = await loop.run({}, raw_prompt=prompt, tools_kwargs=kwargs, extra_info={})
        return output, model

    output, model = asyncio.run(run())
    assert len(model.prompts) == len(answers)
    assert output.extra_fields["mlgym"].get("exit_status") == status
    assert (output.reward_score > 0) is reward
    assert len(output.response_ids) == len(output.response_mask)
    if reward:
        assert 0 in output.response_mask and 1 in output.response_mask  # what tools wrote is not learned
        assert sum(output.extra_fields["tool_rewards"]) <= output.reward_score
    assert not tool._trajectories
