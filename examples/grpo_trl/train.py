"""A language model learns by TRL's GRPOTrainer, from episodes in which it writes its own shell commands.

    examples/grpo_trl/run.sh

The task is battleOfSexes. Always playing 0 is the best strategy (reward 1), always playing 1
is worse than the task's starter (-0.5), and a rollout that changes nothing, or leaves a
program that does not run, earns 0. The prompt shows a valid tool call for each of the moves. A
rollout is: the model writes a tool call, the shell runs it, the model says something,
what lies in the workspace is graded.

Every update is a line of log.jsonl; log.png is drawn from it.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import matplotlib
import torch
from matplotlib import pyplot
from mlgym.adapters.trl import environment_factory
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from trl import GRPOConfig, GRPOTrainer
from trl.chat_template_utils import qwen3_chat_template

from datasets import Dataset

TASK = "battleOfSexes"


def call(move: int) -> str:
    """A tool call, as Qwen's template writes it, that makes the strategy play one move always."""
    command = f"echo 'row_strategy = lambda history: {move}' > strategy.py"
    return f"<tool_call>\n{json.dumps({'name': 'bash', 'arguments': {'command': command}})}\n</tool_call>"


RULES = """You play a game with a partner, who mostly repeats your first move. If both of you play 0, you earn 2. \
If both play 1, you earn 1. If the moves differ, you earn 0. Write a strategy, with one tool call."""

# What the model is shown is the form of an answer, with each of the moves once and
# no word on which is better. A model of 135 million parameters writes no valid call without.
PROMPT = [
    {"role": "user", "content": RULES},
    {"role": "assistant", "content": call(1)},
    {"role": "user", "content": "Write a strategy, with one tool call."},
    {"role": "assistant", "content": call(0)},
    {"role": "user", "content": "Write a strategy, with one tool call."},
]


def real_model(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, dict[str, object]]:
    """Reads a model from a GGUF file, or from a folder as transformers saves it."""
    where: dict[str, str] = {"pretrained_model_name_or_path": str(path)}
    if path.is_file():
        where = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    words = AutoTokenizer.from_pretrained(**where, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    if path.is_file():
        # The numbers are whole now, but the model is remembered as a quantized one, which no trainer takes.
        plain = AutoModelForCausalLM.from_config(model.config, dtype=torch.float32)
        plain.load_state_dict(model.state_dict())
        plain.generation_config = model.generation_config
        model = plain
    # The model's own template knows no tools. Qwen's has the same marks of turns.
    words.chat_template = qwen3_chat_template
    words.pad_token = "<|endoftext|>"
    model.generation_config.eos_token_id = words.eos_token_id
    model.generation_config.pad_token_id = words.pad_token_id
    return model, words, {}


def tiny_model() -> tuple[PreTrainedModel, PreTrainedTokenizerFast, dict[str, object]]:
    """Makes a model of random weights whose vocabulary is bytes and, each one token, whole tool calls.

    It samples from the calls and the end of a message only, so that what it does has
    an effect although it can neither read nor write.
    """
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    calls = [call(0), call(1)]
    made.add_tokens(calls)
    words = PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left"
    )
    words.chat_template = qwen3_chat_template
    config = Qwen3Config(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=4096, eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id, bos_token_id=None, tie_word_embeddings=False,
    )  # fmt: skip
    may = {*words.convert_tokens_to_ids(calls), words.eos_token_id}
    return Qwen3ForCausalLM(config), words, {"suppress_tokens": [i for i in range(len(words)) if i not in may]}


class Record(TrainerCallback):
    """Writes a line for every update, at once."""

    def __init__(self, path: Path) -> None:
        self._path, self._began = path, time.monotonic()
        path.write_text("")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Keeps what the trainer says of an update."""
        if not logs or "reward" not in logs:
            return  # the summary at the end
        line = {"update": state.global_step, "seconds": round(time.monotonic() - self._began, 1), **logs}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def draw(record: Path, out: Path, title: str) -> None:
    """Draws reward and loss of each update."""
    matplotlib.use("Agg")
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    x = [line["update"] for line in lines]
    reward = [line["reward"] for line in lines]
    spread = [line["reward_std"] for line in lines]
    figure, (above, below) = pyplot.subplots(2, 1, figsize=(8, 6), sharex=True, layout="constrained")
    low = [r - s for r, s in zip(reward, spread, strict=True)]
    high = [r + s for r, s in zip(reward, spread, strict=True)]
    above.fill_between(x, low, high, color="#0072b2", alpha=0.15, linewidth=0)
    above.plot(x, reward, color="#0072b2", marker="o", markersize=3, label="mean of the rollouts, with their deviation")
    above.axhline(0, color="#555555", linestyle="--", linewidth=1, label="the task's starter")
    above.axhline(1, color="#555555", linestyle=":", linewidth=1, label="the best play")
    above.set_ylabel("reward")
    above.set_title(title)
    above.legend(frameon=False)
    below.plot(x, [line["loss"] for line in lines], color="#d55e00", marker="o", markersize=3)
    below.set_ylabel("loss")
    below.set_xlabel("update")
    for axes in (above, below):
        axes.grid(alpha=0.2)
    figure.savefig(out, dpi=120)
    pyplot.close(figure)


def arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="GGUF file or folder; without it a tiny random model is made")
    parser.add_argument("--updates", type=int, default=6)
    parser.add_argument("--rollouts", type=int, default=6, help="of one update, all from the same state")
    parser.add_argument("--learning-rate", type=float, help="default 2e-5, of the tiny model 1e-2")
    parser.add_argument("--temperature", type=float, default=0.7, help="of the sampling")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/grpo"))
    return parser.parse_args()


def main() -> None:
    """Trains, records, draws."""
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    # The local server keeps as many sandboxes ready as TRL resets at a time.
    os.environ["MLGYM_SERVE"] = f"--warm {TASK}:small={options.rollouts} " + os.environ.get("MLGYM_SERVE", "")
    set_seed(options.seed)
    if options.model is None:
        model, words, sampling = tiny_model()
        rate, tokens = 1e-2, 1024
    else:
        model, words, sampling = real_model(options.model)
        rate, tokens = 2e-5, 96
    settings = GRPOConfig(
        output_dir=str(options.out / "trainer"),
        max_steps=options.updates,
        num_generations=options.rollouts,
        per_device_train_batch_size=options.rollouts,
        max_completion_length=tokens,
        max_tool_calling_iterations=1,
        generation_kwargs=sampling or None,
        learning_rate=options.learning_rate or rate,
        lr_scheduler_type="constant",
        temperature=options.temperature,
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        gradient_checkpointing=False,  # it would save memory, which is not what lacks
        use_cpu=not torch.cuda.is_available(),
        bf16=False,
        seed=options.seed,
        disable_tqdm=True,
    )
    rows = [{"prompt": PROMPT, "seed": seed} for seed in range(max(options.updates, 1))]
    record = options.out / "log.jsonl"
    began = time.monotonic()
    trainer = GRPOTrainer(
        model=model,
        processing_class=words,
        args=settings,
        train_dataset=Dataset.from_list(rows),
        environment_factory=environment_factory(
            TASK, variant="small", reward="terminal", statement=False, finish_together=True
        ),
        callbacks=[Record(record)],
    )
    trainer.train()
    name = "a random model" if options.model is None else options.model.stem
    draw(record, options.out / "log.png", f"GRPO, {TASK}, {name}")
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    if len(lines) != options.updates:
        raise SystemExit(f"{len(lines)} updates were logged, of {options.updates}")
    third = max(1, len(lines) // 3)
    result = {
        "model": name,
        "parameters": model.num_parameters(),
        "updates": len(lines),
        "episodes": len(lines) * options.rollouts,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "temperature": options.temperature,
        "reward_first_third": round(sum(line["reward"] for line in lines[:third]) / third, 3),
        "reward_last_third": round(sum(line["reward"] for line in lines[-third:]) / third, 3),
    }
    (options.out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
