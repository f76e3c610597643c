"""Tests of the reading of config.json: what transformers writes is read, and no other model gets through."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path

from places import load

config = load("grader", "config.py")

from mlgym_grader import Invalid  # noqa: E402

LIMITS = {"max_length": 128, "layers": 12, "width": 768, "heads": 12, "inner": 3072}
BASE = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "type_vocab_size": 2,
}
NAMES = {
    "id2label": {"0": "entailment", "1": "neutral", "2": "contradiction"},
    "label2id": {"entailment": 0, "neutral": 1, "contradiction": 2},
}
# As transformers writes it, version 5 and version 4.
WRITTEN = {
    "5": {
        **BASE, **NAMES, "model_type": "bert", "architectures": ["BertForSequenceClassification"],
        "add_cross_attention": False, "attention_probs_dropout_prob": 0.1, "bos_token_id": None,
        "classifier_dropout": None, "dtype": "float32", "eos_token_id": None, "hidden_dropout_prob": 0.1,
        "initializer_range": 0.02, "is_decoder": False, "pad_token_id": 0, "tie_word_embeddings": True,
        "transformers_version": "5.23.0", "use_cache": True,
    },
    "4": {
        **BASE, **NAMES, "model_type": "bert", "architectures": ["BertForSequenceClassification"],
        "_name_or_path": "data/bert", "attention_probs_dropout_prob": 0.1, "classifier_dropout": None,
        "gradient_checkpointing": False, "hidden_dropout_prob": 0.1, "initializer_range": 0.02, "pad_token_id": 0,
        "position_embedding_type": "absolute", "problem_type": "single_label_classification", "torch_dtype": "float32",
        "transformers_version": "4.48.3", "use_cache": True,
    },
}  # fmt: skip


class ConfigTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "config.json"

    def read(self, content):
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        self.path.write_bytes(content)
        return config.read(self.path, 30522, LIMITS)

    def test_what_transformers_writes(self) -> None:
        for version, written in WRITTEN.items():
            with self.subTest(version):
                self.assertEqual(self.read(written), BASE)

    def test_what_is_accepted(self) -> None:
        small = {
            key: value for key, value in WRITTEN["5"].items() if key not in ("id2label", "label2id", "architectures")
        }
        small |= {"num_labels": 3, "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
        for name, changes in (
            ("smaller", {}),
            ("names by transformers", {"id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}}),
            ("names in other cases", {"id2label": {"0": "Entailment", "1": "NEUTRAL", "2": "contradiction"}}),
            ("another activation", {"hidden_act": "relu"}),
            ("fewer positions", {"max_position_embeddings": 128}),
            ("no problem type", {"problem_type": None}),
            ("another epsilon", {"layer_norm_eps": 1e-5}),
        ):
            with self.subTest(name):
                got = self.read({**small, **changes})
                self.assertEqual(got["hidden_size"], 64)
                self.assertEqual(got["hidden_act"], changes.get("hidden_act", "gelu"))
                self.assertEqual(set(got), set(BASE))

    def test_values_that_are_not_said_are_berts_own(self) -> None:
        said = {key: WRITTEN["5"][key] for key in (*config.REQUIRED, "id2label")}
        self.assertEqual(self.read(said), BASE)

    def test_what_is_refused(self) -> None:
        permuted = {"0": "contradiction", "1": "neutral", "2": "entailment"}
        for name, changes, message in (
            ("another model", {"model_type": "roberta"}, 'has model_type "roberta"; it has to be "bert"'),
            ("another class", {"architectures": ["Mine"]}, 'it has to be ["BertForSequenceClassification"]'),
            ("two classes", {"architectures": ["BertForSequenceClassification", "Mine"]}, "architectures"),
            ("code", {"auto_map": {"AutoModel": "mine.Mine"}}, "has the key auto_map, which a BERT classifier"),
            ("custom pipelines", {"custom_pipelines": {}}, "has the key custom_pipelines"),
            ("quantised", {"quantization_config": {}}, "has the key quantization_config"),
            ("an implementation", {"_attn_implementation": "mine/kernel"}, "has the key _attn_implementation"),
            ("an odd key", {"\u202eé\n": 1}, r"has the key \u202e\xe9\n, which"),
            ("four labels", {"num_labels": 4}, "has num_labels 4; it has to be 3"),
            ("labels as text", {"num_labels": "3"}, 'has num_labels "3"'),
            ("labels as a fraction", {"num_labels": 3.0}, "has num_labels 3.0"),
            ("two names", {"id2label": {"0": "entailment", "1": "neutral"}}, "without exactly the keys 0, 1, 2"),
            ("four names", {"id2label": {str(i): f"LABEL_{i}" for i in range(4)}}, "without exactly the keys 0, 1, 2"),
            ("names as a list", {"id2label": list(NAMES["label2id"])}, "without exactly the keys 0, 1, 2"),
            ("permuted names", {"id2label": permuted}, "the outputs are 0 entailment, 1 neutral, 2 contradiction"),
            ("one name for all", {"id2label": dict.fromkeys("012", "entailment")}, "labels otherwise in id2label"),
            ("names that are numbers", {"id2label": {"0": 0, "1": 1, "2": 2}}, "labels otherwise in id2label"),
            ("permuted numbers", {"label2id": {v: int(k) for k, v in permuted.items()}}, "otherwise in label2id"),
            ("truth values", {"label2id": {"entailment": False, "neutral": True, "contradiction": 2}}, "in label2id"),
            ("one label twice", {"label2id": {"entailment": 0, "LABEL_0": 0, "neutral": 1}}, "in label2id"),
            ("regression", {"problem_type": "regression"}, "has problem_type"),
            ("a decoder", {"is_decoder": True}, "has is_decoder true; it has to be false"),
            ("zero for false", {"is_decoder": 0}, "has is_decoder 0"),
            ("cross attention", {"add_cross_attention": True}, "has add_cross_attention"),
            ("relative positions", {"position_embedding_type": "relative_key"}, "has position_embedding_type"),
            ("another padding", {"pad_token_id": 5}, "has pad_token_id 5"),
            ("more token types", {"type_vocab_size": 1 << 40}, "has type_vocab_size"),
            ("too wide", {"hidden_size": 1024}, "has hidden_size 1024; it has to be an integer from 1 to 768"),
            ("a billion", {"hidden_size": 10**9}, "has hidden_size 1000000000"),
            ("nothing", {"hidden_size": 0}, "has hidden_size 0"),
            ("negative", {"num_hidden_layers": -1}, "has num_hidden_layers -1"),
            ("fractions", {"num_hidden_layers": 2.0}, "has num_hidden_layers 2.0"),
            ("a truth value", {"num_hidden_layers": True}, "has num_hidden_layers true"),
            ("text", {"num_attention_heads": "12"}, "has num_attention_heads"),
            ("a long text", {"num_attention_heads": "x" * 1000}, "x…; it has to be an integer from 1 to 12"),
            ("many layers", {"num_hidden_layers": 24}, "has num_hidden_layers 24; it has to be"),
            ("heads that do not divide", {"num_attention_heads": 7}, "no multiple of num_attention_heads"),
            ("too large inside", {"intermediate_size": 4096}, "has intermediate_size 4096"),
            ("another vocabulary", {"vocab_size": 30523}, "has vocab_size 30523; it has to be 30522"),
            ("few positions", {"max_position_embeddings": 64}, "has max_position_embeddings 64"),
            ("many positions", {"max_position_embeddings": 1 << 31}, "has max_position_embeddings"),
            ("an activation that is a path", {"hidden_act": "os.system"}, "has a hidden_act that is not one of gelu"),
            ("an activation that is none", {"hidden_act": None}, "has a hidden_act that is not one of gelu"),
            ("no epsilon", {"layer_norm_eps": 0.0}, "has a layer_norm_eps"),
            ("a huge epsilon", {"layer_norm_eps": 1e300}, "has a layer_norm_eps"),
            ("an epsilon of text", {"layer_norm_eps": "1e-12"}, "has a layer_norm_eps"),
        ):  # fmt: skip
            with self.subTest(name), self.assertRaises(Invalid) as raised:
                self.read({**WRITTEN["5"], **changes})
            with self.subTest(name):
                self.assertIn(message, str(raised.exception))
                self.assertLess(len(str(raised.exception)), 300)

    def test_what_is_missing(self) -> None:
        for key in config.REQUIRED:
            with self.subTest(key), self.assertRaisesRegex(Invalid, f"lacks {key}"):
                self.read({k: v for k, v in WRITTEN["5"].items() if k != key})
        with self.assertRaisesRegex(Invalid, "does not say that there are 3 labels"):
            self.read({key: WRITTEN["5"][key] for key in config.REQUIRED})

    def test_what_is_no_configuration(self) -> None:
        text = json.dumps(WRITTEN["5"])
        for name, content, message in (
            ("empty", b"", "cannot be read"),
            ("no JSON", b"{hidden_size: 1}", "cannot be read"),
            ("no UTF-8", b'{"a": "\xff"}', "cannot be read"),
            ("a list", b"[]", "is not a JSON object"),
            ("infinity", text.replace("0.02", "Infinity").encode(), "Infinity is not JSON"),
            ("a key twice", (text[:-1] + ', "hidden_size": 4}').encode(), "the key hidden_size stands twice"),
            (
                "a key twice inside",
                text.replace('"1": "neutral"', '"1": "a", "1": "neutral"').encode(),
                "1 stands twice",
            ),
            ("nested deeply", b'{"a":' + b"[" * 60_000, "cannot be read"),
        ):
            with self.subTest(name), self.assertRaises(Invalid) as raised:
                self.read(content)
            with self.subTest(name):
                self.assertIn(message, str(raised.exception))


if __name__ == "__main__":
    unittest.main()
