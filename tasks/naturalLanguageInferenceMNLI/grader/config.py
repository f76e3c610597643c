"""The handed-in config.json: read strictly, down to the few values that are used.

transformers would import code that a configuration names and build whatever size it
states. Here every key has to be a known one; sizes have bounds; what has no bearing
on a BERT classifier in evaluation is left out of what is returned.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mlgym_grader import Invalid

LABELS = ("entailment", "neutral", "contradiction")

REQUIRED = ("model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish")
MIN_EPSILON, MAX_EPSILON = 1e-12, 1e-3
POSITIONS = 512

# What the model is built with where config.json does not say: BERT's own values.
DEFAULTS: dict[str, Any] = {
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": POSITIONS,
    "type_vocab_size": 2,
}

# Keys that may have one value only, since another one makes another model.
FIXED: dict[str, Any] = {
    "model_type": "bert",
    "architectures": ["BertForSequenceClassification"],
    "num_labels": len(LABELS),
    "problem_type": "single_label_classification",
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
    "is_decoder": False,
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "pad_token_id": 0,
}

# Keys that transformers writes and that change nothing in a forward pass of this model in evaluation.
IGNORED = frozenset({
    "_name_or_path", "attention_probs_dropout_prob", "bos_token_id", "chunk_size_feed_forward", "classifier_dropout",
    "dtype", "eos_token_id", "gradient_checkpointing", "hidden_dropout_prob", "initializer_range", "output_attentions",
    "output_hidden_states", "return_dict", "sep_token_id", "tie_word_embeddings", "torch_dtype", "transformers_version",
    "use_cache",
})  # fmt: skip
MAY_BE_NULL = frozenset({"architectures", "problem_type"})


def read(path: Path, vocabulary: int, limits: Mapping[str, int]) -> dict[str, Any]:
    """Return the values that a BertConfig is built from.

    vocabulary is the size of the tokenizer's. limits has the largest layers, width,
    heads and inner.
    """
    config = _object(path)
    for key, value in config.items():
        _check(key, value)
    for key in REQUIRED:
        if key not in config:
            _refuse(f"lacks {key}")
    if "id2label" not in config and "num_labels" not in config:
        _refuse(f"does not say that there are {len(LABELS)} labels: neither by id2label nor by num_labels")
    _names(config)
    sizes = {
        "vocab_size": _integer(config, "vocab_size", vocabulary, vocabulary),
        "hidden_size": _integer(config, "hidden_size", 1, limits["width"]),
        "num_hidden_layers": _integer(config, "num_hidden_layers", 1, limits["layers"]),
        "num_attention_heads": _integer(config, "num_attention_heads", 1, limits["heads"]),
        "intermediate_size": _integer(config, "intermediate_size", 1, limits["inner"]),
        "max_position_embeddings": _integer(config, "max_position_embeddings", limits["max_length"], POSITIONS),
    }
    if sizes["hidden_size"] % sizes["num_attention_heads"]:
        _refuse("has a hidden_size that is no multiple of num_attention_heads")
    activation = config.get("hidden_act", DEFAULTS["hidden_act"])
    if type(activation) is not str or activation not in ACTIVATIONS:
        _refuse(f"has a hidden_act that is not one of {', '.join(ACTIVATIONS)}")
    epsilon = config.get("layer_norm_eps", DEFAULTS["layer_norm_eps"])
    if type(epsilon) is not float or not MIN_EPSILON <= epsilon <= MAX_EPSILON:
        _refuse(f"has a layer_norm_eps that is not a number from {MIN_EPSILON:g} to {MAX_EPSILON:g}")
    return {**DEFAULTS, **sizes, "hidden_act": activation, "layer_norm_eps": epsilon}


def _refuse(problem: str) -> NoReturn:
    raise Invalid(f"config.json {problem}.")


def _object(path: Path) -> dict[str, Any]:
    """Return the JSON object in the file."""
    try:
        value = json.loads(path.read_bytes().decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        _refuse(f"cannot be read: {_short(str(error)) or 'it is nested too deeply'}")
    if type(value) is not dict:
        _refuse("is not a JSON object")
    return value


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in [other for other, _ in pairs[:i]])
        raise ValueError(f"the key {_short(twice)} stands twice")
    return made


def _no_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _check(key: str, value: object) -> None:
    """Refuse a key that is not known, and a value that another kind of model would have."""
    if key in FIXED:
        if not _same(value, FIXED[key]) and not (value is None and key in MAY_BE_NULL):
            _refuse(f"has {key} {_short(json.dumps(value))}; it has to be {json.dumps(FIXED[key])}")
    elif key not in IGNORED and key not in DEFAULTS and key not in REQUIRED and key not in ("id2label", "label2id"):
        _refuse(f"has the key {_short(key)}, which a BERT classifier does not need; remove it")


def _same(value: object, wanted: object) -> bool:
    """Compare values of JSON, where true is not 1."""
    return type(value) is type(wanted) and value == wanted


def _names(config: Mapping[str, Any]) -> None:
    """Refuse labels that are not three, or that are named in another order than the scored one.

    Such a model would have its classes mixed up, and would get a low score without a word.
    """
    numbers = [str(i) for i in range(len(LABELS))]
    order = f"the outputs are {', '.join(f'{i} {name}' for i, name in enumerate(LABELS))}"
    names = config.get("id2label")
    if names is not None:
        if type(names) is not dict or sorted(names) != numbers:
            _refuse(f"has an id2label without exactly the keys {', '.join(numbers)}: {order}")
        if not all(_is_name(names[number], int(number)) for number in numbers):
            _refuse(f"names its labels otherwise in id2label: {order}")
    if (ids := config.get("label2id")) is not None and (
        type(ids) is not dict
        or len(ids) != len(LABELS)
        or not all(type(i) is int and 0 <= i < len(LABELS) and _is_name(name, i) for name, i in ids.items())
        or len(set(ids.values())) != len(LABELS)
    ):
        _refuse(f"names its labels otherwise in label2id: {order}")


def _is_name(name: object, number: int) -> bool:
    """Tell whether a label may have this name: its own, in any case, or the one that transformers gives."""
    return isinstance(name, str) and name.lower() in (LABELS[number], f"label_{number}")


def _integer(config: Mapping[str, Any], key: str, low: int, high: int) -> int:
    value = config.get(key, DEFAULTS.get(key))
    if type(value) is not int or not low <= value <= high:
        wanted = f"{low}" if low == high else f"an integer from {low} to {high}"
        _refuse(f"has {key} {_short(json.dumps(value))}; it has to be {wanted}")
    return value


def _short(text: str) -> str:
    """Return the text fit for a message: printable, not long."""
    shown = ascii(text)[1:-1]
    return shown[:60] + ("…" if len(shown) > 60 else "")
