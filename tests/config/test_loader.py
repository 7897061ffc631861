"""Loading: what is read, what overrides it, and how errors are gathered."""

import os
import string
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.config import RunConfig, dump_config, load_config
from triptych.config.hints import known_keys
from triptych.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"
FRAGMENTS = [
    *("dataset", "training", "epochs", "scheduler", "name", "mnist", "null", "1", "1e3", ".nan", "''", '"', "#"),
    *(": ", ":\n  ", "\n", "\n  ", "\n    ", "- ", "? ", ", ", "{", "}", "[", "]", "|\n", "---\n", "\t"),
    *("&a ", "*a", "<<", "!!int ", "!!map ", "!!set ", "!!timestamp ", "!!binary ", "!!python/name:os.x ", "!x "),
]
"""Pieces of YAML, put together at random to find errors that are not meant for people."""


@pytest.fixture
def write(tmp_path):
    def write_text(text):
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_text


def message_of(path, overrides=()):
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return str(caught.value)


class TestReading:
    def test_missing_keys_have_their_defaults(self, write):
        config = load_config(write("dataset:\n  name: cifar10\n  pad: 2\ntraining:\n  scheduler:\n    name: none\n"))
        assert config == RunConfig.model_validate(
            {"dataset": {"name": "cifar10", "pad": 2}, "training": {"scheduler": {"name": "none"}}}
        )
        assert config.dataset.image_shape == (3, 36, 36)

    @pytest.mark.parametrize(
        ("text", "value"), [("3e-4", 3e-4), ("1e3", 1000.0), ("1E+2", 100.0), (".5", 0.5), ("5.", 5.0), ("2", 2.0)]
    )
    def test_numbers_may_be_written_in_every_usual_way(self, write, text, value):
        config = load_config(write(f"dataset: {{name: mnist}}\ntraining:\n  learning_rate: {text}\n"))
        assert config.training.learning_rate == value
        assert isinstance(config.training.learning_rate, float)

    def test_merge_keys_share_values_and_own_values_win(self, write):
        text = (
            "dataset:\n  name: mnist\n"
            "model: &shape {patch_size: 7, embed_dim: 64, num_heads: 4}\n"
            "training:\n  early_stopping: &patient {patience: 50}\n"
        )
        plain = load_config(write(text))
        merged = load_config(
            write(text.replace("{patch_size: 7", "{<<: {patch_size: 14, num_layers: 2}, patch_size: 7"))
        )
        assert plain.model.patch_size == merged.model.patch_size == 7
        assert merged.model.num_layers == 2

    def test_a_byte_order_mark_and_windows_lines_are_read(self, tmp_path):
        path = tmp_path / "run.yaml"
        path.write_bytes(b"\xef\xbb\xbfdataset:\r\n  name: mnist\r\n")
        assert load_config(path).dataset.name == "mnist"

    @pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
    def test_shipped_configs_load(self, path):
        assert load_config(path).dataset.name == path.stem.removesuffix("_gpu")


class TestFiles:
    def test_a_missing_file_is_named_with_a_similar_one(self, tmp_path):
        (tmp_path / "mnist.yaml").write_text("dataset: {name: mnist}")
        wrong = tmp_path / "minst.yaml"
        assert message_of(wrong) == f"{wrong}: the file does not exist; did you mean {tmp_path / 'mnist.yaml'}?"

    def test_a_missing_folder_is_a_missing_file(self, tmp_path):
        path = tmp_path / "configs" / "mnist.yaml"
        assert message_of(path) == f"{path}: the file does not exist"

    def test_a_folder_is_rejected(self, tmp_path):
        assert message_of(tmp_path).startswith(f"{tmp_path}: expected a config, which is a YAML file; got a folder.")

    def test_an_unreadable_file_is_rejected(self, write, monkeypatch):
        path = write("dataset: {name: mnist}")

        def reject(*_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", reject)
        assert message_of(path) == f"{path}: expected a readable YAML file; got: Permission denied"

    def test_a_binary_file_is_rejected(self, tmp_path):
        path = tmp_path / "run.yaml"
        path.write_bytes(b"GIF8\xff\xfe\x00")
        assert message_of(path) == (
            f"{path}: expected a YAML file in UTF-8; got the byte 0xff on line 1. Save it as UTF-8."
        )

    def test_another_encoding_is_rejected(self, tmp_path):
        path = tmp_path / "run.yaml"
        path.write_bytes("dataset:\n  {name: mnist, root: /données}".encode("latin-1"))
        assert "expected a YAML file in UTF-8; got the byte 0xe9 on line 2" in message_of(path)

    @settings(deadline=None, max_examples=150)
    @given(
        data=st.binary(max_size=200)
        | st.text(string.printable, max_size=200).map(str.encode)
        | st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(lambda parts: "".join(parts).encode())
    )
    def test_whatever_a_file_holds_the_only_error_is_for_people(self, tmp_path_factory, data):
        path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
        path.write_bytes(data)
        with suppress(ConfigError):
            load_config(path)


class TestOverrides:
    def test_an_override_replaces_the_file_at_any_depth(self, write):
        config = load_config(
            write("dataset:\n  name: mnist\ntraining:\n  epochs: 3\n"),
            [
                "training.epochs=7",
                "training.scheduler.name=StepLR",
                "dataset.augmentation.rotation=5",
                "training.learning_rate=1e-2",
                "training.triplet_mining=all",
                "training.margin=null",
                "training.early_stopping={enabled: false}",
                "dataset.root=/data/a=b",
            ],
        )
        assert config.training.epochs == 7
        assert config.training.scheduler.name == "StepLR"
        assert config.dataset.augmentation.rotation == 5.0
        assert config.training.learning_rate == 0.01
        assert config.training.margin is None
        assert not config.training.early_stopping.enabled
        assert config.dataset.root == "/data/a=b"

    def test_the_later_override_counts(self, write):
        path = write("dataset: {name: mnist}")
        assert load_config(path, ["training.epochs=7", "training.epochs=8"]).training.epochs == 8
        assert load_config(path, ["training.epochs=many", "training.epochs=8"]).training.epochs == 8

    def test_an_override_corrects_an_error_of_the_file(self, write):
        path = write("dataset: {name: mnist}\ntraining: {epochs: many}")
        assert load_config(path, ["training.epochs=8"]).training.epochs == 8

    def test_an_override_may_give_what_the_file_lacks(self, write):
        assert load_config(write("training: {epochs: 3}"), ["dataset.name=digits"]).dataset.name == "digits"

    def test_an_alias_is_not_overridden_with_its_anchor(self, write):
        text = "dataset: {name: mnist}\ntraining:\n  <<: &more {scheduler: &s {gamma: 0.5}}\n  epochs: 4\n"
        config = load_config(write(text), ["training.scheduler.gamma=0.25"])
        assert config.training.scheduler.gamma == 0.25
        assert config.training.epochs == 4

    @pytest.mark.parametrize(
        ("override", "line"),
        [
            ("training.epochs=x", "training.epochs: expected an integer of at least 1; got 'x'"),
            ("training.epochs=", "training.epochs: expected an integer of at least 1; got null; remove the key "
             "to use its default"),
            ("training.epochs", "expected section.key=value, such as training.epochs=5; got 'training.epochs'"),
            ("=5", "expected section.key=value, such as training.epochs=5; got '=5'"),
            ("training..epochs=5", "expected section.key=value, such as training.epochs=5; got 'training..epochs=5'"),
            ("epochs=5", "epochs: unknown key, with value 5; that key belongs to section training"),
            ("training.epoch=5", "training.epoch: unknown key, with value 5; did you mean 'epochs'?"),
            ("trainig.epochs=5", "trainig: unknown key, with value {'epochs': 5}; did you mean 'training'?"),
            ("training.epochs.most=5", "training.epochs: expected an integer of at least 1, with no keys below it; "
             "got training.epochs.most"),
            ("training.epochs=[1", "training.epochs: '[1' cannot be read as YAML: while parsing a flow sequence, "
             "expected ',' or ']', but got '<stream end>'"),
            ("training={epochs: 5, epochs: 6}", "training.epochs: expected each key once; got it again with '6', after "
             "line 1; remove one"),
            ("training={epochs: 0}", "training.epochs: expected an integer of at least 1; got 0"),
            ("model.num_heads=5", "model.num_heads: embed_dim 96 is not divisible by num_heads 5; "
             "expected embed_dim 80 or 100, or num_heads 1, 2, 3, 4, 6, 8, 12 or 16"),
        ],
    )  # fmt: skip
    def test_a_wrong_override_is_shown_as_the_flag(self, write, override, line):
        path = write("dataset: {name: mnist}\nmodel: {embed_dim: 96}")
        assert message_of(path, [override]) == f"{path}: 1 error\n  --set {override}: {line}"

    def test_an_override_does_not_hide_a_wrong_section_of_the_file(self, write):
        path = write("dataset: {name: mnist}\ntraining: 5")
        assert "line 2: training: expected a section of keys" in message_of(path, ["training.epochs=3"])

    def test_terminal_codes_in_a_flag_are_not_printed(self, write):
        assert "\x1b" not in message_of(write("dataset: {name: mnist}"), ["training.epochs=\x1b[31m"])


class TestGathering:
    def test_errors_of_every_kind_are_reported_together_in_order(self, write):
        path = write(
            "training:\n"
            "  epochs: many\n"
            "  triplet_mining: semi-hard\n"
            "  seed: 1\n"
            "  seed: 2\n"
            "  margn: 0.3\n"
            "model:\n"
            "  embed_dim: 64\n"
            "  num_heads: 3\n"
            "  hue: 0.1\n"
            "dataset:\n"
            "  pad: 2\n"
            "logging: 5\n"
        )
        overrides = ["training.learning_rate=.nan", "nonsense", "training.scheduler.gamma=2"]
        assert message_of(path, overrides).splitlines() == [
            f"{path}: 11 errors",
            "  line 2: training.epochs: expected an integer of at least 1; got 'many'",
            "  line 3: training.triplet_mining: expected one of random, all, semihard, hard; got 'semi-hard'; "
            "did you mean 'semihard'?",
            "  line 5: training.seed: expected each key once; got it again with '2', after line 4; remove one",
            "  line 6: training.margn: unknown key, with value 0.3; did you mean 'margin'?",
            "  line 8: model.embed_dim: embed_dim 64 is not divisible by num_heads 3; "
            "expected embed_dim 60 or 72, or num_heads 1, 2, 4, 8, 16, 32 or 64",
            "  line 10: model.hue: unknown key, with value 0.1; that key belongs to section dataset.augmentation",
            "  line 11: dataset.name: missing; expected one of digits, mnist, fashionmnist, cifar10, folder, "
            "table, huggingface",
            "  line 13: logging: expected a section of keys (tensorboard, log_every_n_steps, triplet_samples, "
            "embeddings, tsne_samples, reconstruction_every); got 5",
            "  --set training.learning_rate=.nan: training.learning_rate: expected a number above 0, finite; got nan",
            "  --set nonsense: expected section.key=value, such as training.epochs=5; got 'nonsense'",
            "  --set training.scheduler.gamma=2: training.scheduler.gamma: expected a number above 0 and at most 1; "
            "got 2",
        ]

    def test_a_wrong_value_hides_no_impossible_combination_of_the_same_section(self, write):
        path = write(
            "dataset: {name: mnist}\nmodel:\n  dropout: lots\n  embed_dim: 98\n  num_heads: 2\n  patch_size: 5\n"
        )
        lines = message_of(path).splitlines()
        assert len(lines) == 4
        assert lines[1].startswith("  line 3: model.dropout: expected a number")
        assert lines[2].startswith("  line 4: model.embed_dim: embed_dim 98 is not divisible by 4")
        assert lines[3].startswith("  line 6: model.patch_size: patch_size 5 does not divide")

    def test_a_combination_with_a_wrong_value_is_not_judged(self, write):
        path = write("dataset: {name: mnst}\nmodel: {embed_dim: 96, num_heads: seven, patch_size: 5}\n")
        assert message_of(path).startswith(f"{path}: 2 errors\n")

    @pytest.mark.parametrize("key", [key for key, schema in known_keys().items() if "properties" not in schema])
    def test_a_wrong_value_of_any_key_is_reported_with_its_line(self, write, key):
        nested = [[1]]
        for part in reversed(key):
            nested = {part: nested}
        nested.setdefault("dataset", {}).setdefault("name", "mnist")
        path = write(yaml.safe_dump(nested, default_flow_style=False))
        line = next(number for number, text in enumerate(path.read_text().splitlines()) if text.endswith("- 1"))
        heading, line_text = message_of(path).splitlines()
        assert heading == f"{path}: 1 error"
        assert line_text.startswith(f"  line {line}: {'.'.join(key)}: expected ")
        # Of a list, the wrong element is shown.
        assert line_text.endswith("; got [1]" if known_keys()[key].get("type") == "array" else "; got [[1]]")


def leaf_values(schema):
    """Draw a value that a key's JSON schema admits."""
    if "anyOf" in schema:
        return st.one_of([leaf_values(part) for part in schema["anyOf"]])
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    match schema["type"]:
        case "integer":
            return st.integers(schema.get("minimum"), schema.get("maximum", schema.get("exclusiveMaximum", 2**32) - 1))
        case "number":
            return st.floats(
                schema.get("minimum", schema.get("exclusiveMinimum")),
                schema.get("maximum", schema.get("exclusiveMaximum")),
                exclude_min="exclusiveMinimum" in schema,
                exclude_max="exclusiveMaximum" in schema,
                allow_infinity=False,
                allow_nan=False,
            )
        case "array":
            return st.lists(
                leaf_values(schema["items"]), min_size=schema.get("minItems", 0), max_size=schema.get("maxItems", 3)
            )
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "string":
            hard = [
                "1e3",
                "3e-4",
                "yes",
                "null",
                "010",
                "1:30",
                "2024-01-01",
                "- a",
                "#",
                "a: b",
                "<<",
                "\t",
                "é\u2028",
            ]
            return st.sampled_from(hard) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
    raise AssertionError(schema)


COMBINED = {
    *("name", "pad", "crop_padding", "embed_dim", "num_heads", "patch_size", "epochs", "warmup_epochs"),
    *("kl_warmup_epochs", "kl_weight", "margin", "precision", "image_size", "channels"),
    *("backbone", "backbone_mode", "layer_decay", "sampling", "classes_per_batch", "images_per_class"),
}
"""Keys that keep their defaults in the round trip, because drawn alone they seldom go together."""


class TestDump:
    @settings(deadline=None, max_examples=60)
    @given(data=st.data())
    def test_a_dumped_config_loads_back_equal(self, tmp_path_factory, data):
        values = {"dataset": {"name": "cifar10"}}
        for key, schema in known_keys().items():
            if "properties" not in schema and key[-1] not in COMBINED and data.draw(st.booleans()):
                section = values
                for part in key[:-1]:
                    section = section.setdefault(part, {})
                section[key[-1]] = data.draw(leaf_values(schema))
        config = RunConfig.model_validate(values)
        path = tmp_path_factory.getbasetemp() / "dumped.yaml"
        path.write_text(dump_config(config), encoding="utf-8")
        assert load_config(path) == config

    def test_a_dumped_config_states_every_key_in_the_order_of_the_schema(self):
        written = yaml.safe_load(dump_config(RunConfig.model_validate({"dataset": {"name": "digits"}})))
        assert list(written) == ["dataset", "model", "training", "evaluation", "logging"]
        for key, _ in known_keys().items():
            value = written
            for part in key:
                assert part in value
                value = value[part]


def test_importing_the_config_does_not_import_torch():
    program = "import sys, triptych.config; assert not {'torch', 'lightning', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=CONFIGS.parent)


class TestPython:
    VALUES = {"dataset": {"name": "folder", "root": "photos", "image_size": [32, 48]}, "training": {"epochs": 3}}

    def test_a_mapping_is_loaded_like_a_file(self, write):
        assert load_config(self.VALUES) == load_config(write(dump_config(load_config(self.VALUES))))

    def test_paths_and_tuples_are_accepted_in_a_mapping(self):
        dataset = {"name": "folder", "root": Path("photos"), "image_size": (32, 48)}
        assert load_config({**self.VALUES, "dataset": dataset}) == load_config(self.VALUES)

    def test_a_path_may_be_text(self, write):
        path = write(dump_config(load_config(self.VALUES)))
        assert load_config(str(path)) == load_config(path)

    def test_a_loaded_config_is_loaded_again_with_overrides(self):
        config = load_config(self.VALUES)
        assert load_config(config) == config
        assert load_config(config, ["training.epochs=5"]).training.epochs == 5

    def test_all_errors_of_a_mapping_are_listed(self):
        with pytest.raises(ConfigError) as caught:
            load_config({"dataset": {"name": "minst"}, "training": {"epochs": 0}})
        heading, *lines = str(caught.value).splitlines()
        assert heading == "config: 2 errors"
        assert [line.split(":")[0] for line in lines] == ["  dataset.name", "  training.epochs"]

    def test_errors_of_overrides_of_a_loaded_config_name_the_override(self):
        with pytest.raises(ConfigError, match=r"--set training\.epochs=0: training.epochs: expected an integer"):
            load_config(load_config(self.VALUES), ["training.epochs=0"])

    @pytest.mark.parametrize("config", [None, 7, b"run.yaml", ["dataset"]])
    def test_another_type_is_a_type_error(self, config):
        with pytest.raises(TypeError, match=r"a path \(str or Path\), a mapping or a RunConfig as config; got"):
            load_config(config)
