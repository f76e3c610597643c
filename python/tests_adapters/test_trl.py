"""TRL's own GRPOTrainer, with a tiny random model, over real episodes.

The model's vocabulary has bytes and, each as one token, whole tool calls; it
samples from the calls and the end of a message only. So a random model acts, and
what it learns from is what the grader said.
"""

import gc
import json
import math
import os
import urllib.request

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

import pytest
import torch
from conftest import BEST, TASK, snippet
from mlgym.adapters.trl import MlgymEnvironment, environment_factory
from mlgym.errors import ServerError
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, set_seed
from transformers.utils import get_json_schema
from trl import GRPOConfig
from trl.chat_template_utils import qwen3_chat_template


def tool_call(name, **arguments):
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


CALLS = [tool_call("bash", command=BEST), tool_call("bash", command="ls"), tool_call("validate"), tool_call("submit")]


def tokenizer():
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    made.add_tokens(CALLS)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left"
    )
    fast.chat_template = qwen3_chat_template
    return fast


def tiny_model(words):
    config = Qwen3Config(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=4096, eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id, bos_token_id=None, tie_word_embeddings=False,
    )  # fmt: skip
    return Qwen3ForCausalLM(config)


def test_grpo_updates(server, tmp_path, monkeypatch):
    set_seed(1)
    words = tokenizer()
    model = tiny_model(words)
    before = {name: value.clone() for name, value in model.named_parameters()}
    may = {*words.convert_tokens_to_ids(CALLS), words.eos_token_id}
    arguments = GRPOConfig(
        output_dir=str(tmp_path),
        max_steps=2,
        num_generations=4,
        per_device_train_batch_size=4,
        max_completion_length=1024,
        max_tool_calling_iterations=3,
        generation_kwargs={"suppress_tokens": [i for i in range(len(words)) if i not in may]},
        learning_rate=1e-2,
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        seed=1,
    )
    monkeypatch.setenv("MLGYM_URL", server)
    names = {"model": model, "tokenizer": words, "arguments": arguments}
    exec(snippet("trl"), names)
    trainer = names["trainer"]
    pool = trainer._environment_pool[None]
    logs = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert len(logs) == 2
    assert len(pool) == 4  # pooled, not made anew for the second batch
    assert isinstance(pool[0], MlgymEnvironment)
    for entry in logs:
        assert math.isfinite(entry["loss"]) and math.isfinite(entry["reward"])
        assert entry["tools/call_frequency"] > 0 and entry["tools/failure_frequency"] == 0
    # Only the best play brings more than the starting point.
    assert any(entry["reward_std"] > 0 for entry in logs)
    assert any(entry["rewards/MlgymEnvironment/mean"] > 0 for entry in logs)
    assert any(not torch.equal(before[name], value) for name, value in model.named_parameters())


def test_tools_have_schemas():
    environment = environment_factory(TASK)()
    names = {}
    for name in ("bash", "validate", "submit"):
        names[name] = get_json_schema(getattr(environment, name))["function"]
    assert names["bash"]["parameters"]["required"] == ["command"]
    assert names["bash"]["parameters"]["properties"]["command"]["description"]
    assert all(schema["description"] for schema in names.values())


def test_a_batch_is_graded_together(server):
    factory = environment_factory(TASK, url=server, variant="small", finish_together=True)
    batch = [factory() for _ in range(3)]
    for environment in batch:
        statement = environment.reset(prompt="unused", seed=2, mode=None)
        assert "strategy.py" in statement
        assert "strategy.py" in environment.bash("ls")
    batch[0].bash(BEST)
    batch[1].bash(BEST)
    rewards = [batch[0].get_reward()]
    assert all(environment._rollout.score.over for environment in batch)
    rewards += [environment.get_reward() for environment in batch[1:]]
    assert rewards[0] == rewards[1] > rewards[2]  # the same state, the same seed
    assert batch[0].get_reward() == rewards[0]
    assert "over" in batch[0].bash("ls")

    # The next batch has other episodes in the same environments.
    batch[0].reset(seed=2)
    assert "row_strategy" in batch[0].bash("cat strategy.py")
    assert batch[0].get_reward() == rewards[2]


def test_sessions_go_back(server):
    environment = environment_factory(TASK, url=server, variant="small")()
    environment.reset()
    rollout = environment._rollout
    client = rollout._client
    assert not client.closed
    del environment
    gc.collect()
    assert client.closed and rollout._client is None


def test_a_lost_session_costs_one_rollout(server):
    environment = environment_factory(TASK, url=server, variant="small")()
    environment.reset()
    session = environment._rollout._client.session_id
    body = json.dumps({"session_id": session}).encode()
    request = urllib.request.Request(f"{server}/close", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=30).close()
    assert "lost" in environment.bash("ls")
    assert environment.get_reward() is None  # which TRL takes for "not to be scored"
    environment.reset()
    assert "strategy.py" in environment.bash("ls")
    assert environment.get_reward() is not None


def test_wrong_options_are_told(server):
    environment = environment_factory("battleOfSexs", url=server)()
    with pytest.raises(ServerError, match="battleOfSexes"):
        environment.reset()
