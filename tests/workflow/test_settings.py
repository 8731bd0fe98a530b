"""Settings: what is accepted, and the one line that each mistake gets."""

import copy
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from minituner.foundation.errors import UserError
from minituner.workflow import reading, settings
from tests.support.tiny_project import ROOT


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def message(function, *args):
    with pytest.raises(UserError) as caught:
        function(*args)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_projects_own_settings_are_valid(config):
    settings.validate(config)
    assert settings.load("params.yaml") == config


def test_every_setting_is_required_and_no_other_is_known(config):
    for section, values in config.items():
        for key in [None, *(values if isinstance(values, dict) else ())]:
            spoilt = copy.deepcopy(config)
            field = section if key is None else f"{section}.{key}"
            if key is None:
                del spoilt[section]
            else:
                del spoilt[section][key]
            assert message(settings.validate, spoilt).startswith(f"params.yaml: {field}: missing")
    assert "corpus.nosie: unknown key; did you mean noise?" in message(
        settings.validate, config | {"corpus": config["corpus"] | {"nosie": {}}}
    )


@pytest.mark.parametrize(
    "section, key, value, expected",
    [
        ("sweep", "ranks", [0], "sweep.ranks[0]: 0 is too small; use at least 1"),
        ("sweep", "ranks", [1, 65], "sweep.ranks[1]: rank 65 is above the layer's width"),
        ("sweep", "ranks", [1, 1], "sweep.ranks: [1, 1] holds a value twice"),
        ("sweep", "ranks", [], "sweep.ranks: [] has the wrong length; give minimum 1"),
        ("sweep", "ranks", [1.0], "sweep.ranks[0]: 1.0 is not of type integer"),
        ("sweep", "seeds", [True], "sweep.seeds[0]: true is not of type integer"),
        ("lora", "alpha", float("nan"), "lora.alpha: NaN is not of type number"),
        ("lora", "alpha", float("inf"), "lora.alpha: Infinity is not of type number"),
        ("sweep", "ranks", [1.5], "sweep.ranks[0]: 1.5 is not of type integer"),
        ("sweep", "qlora_ranks", [3], "sweep.qlora_ranks[0]: rank 3 is not in sweep.ranks"),
        ("sweep", "seeds", [-1], "sweep.seeds[0]: -1 is too small; use at least 0"),
        ("sweep", "seeds", 3, "sweep.seeds: 3 is not of type array"),
        ("tuning", "learning_rate", "0,001", "text, not of type number; write it plainly, such as"),
        ("tuning", "steps", "1 000", "text, not of type integer; write it plainly, such as 1000"),
        ("tuning", "learning_rate", 0, "tuning.learning_rate: 0 is too small; use more than 0"),
        ("lora", "dropout", 1, "lora.dropout: 1 is too large; use less than 1"),
        ("lora", "target_modules", ["q_prj"], "did you mean q_proj?"),
        (
            "lora",
            "target_modules",
            "q_proj",
            "write all-linear, or a list such as [q_proj, v_proj]",
        ),
        ("lora", "target_modules", 3, "lora.target_modules: 3 is not of type array"),
        ("nf4", "blocksize", 63, "nf4.blocksize: 63 is not known; choose among 32, 64, 128"),
        ("nf4", "double_quant", "yes", 'nf4.double_quant: "yes" is text, not of type boolean'),
        ("model", "n_head", 5, "model.n_head: 5 does not divide model.d_model = 64"),
        ("corpus", "verbs", "data/none.csv", "corpus.verbs: no such file: data/none.csv"),
        ("corpus", "file", "data/own/none.csv", "corpus.file: no such file: data/own/none.csv"),
        ("corpus", "file", "mine.csv", "corpus.file: "),
        ("base", "checkpoint", "/tmp/mine", "base.checkpoint: "),
        ("base", "checkpoint", "checkpoints/none", "base.checkpoint: no such file: checkpoints/"),
        ("corpus", "splits", {"train": 0.5, "val": 0.1, "test": 0.1}, "corpus.splits: sum to 0.7"),
    ],
)
def test_a_wrong_value_is_named_with_its_field_and_remedy(config, section, key, value, expected):
    config[section][key] = value
    text = message(settings.validate, config)
    assert text.startswith("params.yaml: ") and expected in text and "; " in text


def test_in_a_copy_of_what_git_knows_the_remedy_is_to_copy_more(config, tmp_path, monkeypatch):
    """`dvc exp run --temp` works in such a copy, below .dvc."""
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / ".dvc" / "tmp")
    config["corpus"]["file"] = "data/own/mine.csv"
    assert message(settings.validate, config).endswith("; add `--copy-paths data/own/mine.csv`")
    (tmp_path / ".dvc" / "tmp" / "data" / "own").mkdir(parents=True)
    (tmp_path / ".dvc" / "tmp" / "data" / "own" / "mine.csv").touch()
    config["base"]["checkpoint"] = "checkpoints/mine"
    assert message(settings.validate, config).endswith("; add `--copy-paths checkpoints/mine`")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("lora: [", "line 1, column 8: not valid YAML"),
        ("lora:\n  r: 1\nlora: {}\n", "line 3: lora: given twice"),
        ("", "top level: null is not a section of keys"),
        ("- 1\n", "top level: [1] is not a section of keys"),
        ("lora: \t3\n\tx: 4", "not valid YAML"),
    ],
)
def test_a_broken_file_is_named_with_the_line(tmp_path, text, expected):
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    said = message(settings.load, path)
    assert said.startswith(f"{path}: ") and expected in said


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("5e-05", 5e-05),  # DVC's `exp run -S`, and Python
        ("1.0e-5", 1e-05),
        ("1e-3", 0.001),
        ("2.5E4", 25000.0),
        (".5e+0", 0.5),
        ("1_000", 1000),
        ("1_0e1", 100.0),
        ("0x10", 16),
    ],
)
def test_a_number_is_read_however_it_is_written(tmp_path, written, number):
    """Alike in a file, in JSON, and as Snakemake hands it on."""
    path = tmp_path / "params.yaml"
    path.write_text(f"full:\n  learning_rate: {written}\n", encoding="utf-8")
    read = settings.load(path, "full")["full"]["learning_rate"]
    assert read == number and type(read) is type(number)
    if "e" in written.lower():
        assert settings.load(f'{{"full": {{"learning_rate": "{written}"}}}}', "full") == {
            "full": {"learning_rate": number}
        }
        assert reading.with_numbers({"a": [written]}) == {"a": [number]}


@pytest.mark.parametrize("written", ["010", "1:30", "1:30.5", "00.5", "0_1"])
def test_a_number_that_yaml_reads_as_another_than_it_looks_is_refused(tmp_path, written, tried):
    path = tmp_path / "params.yaml"
    path.write_text(f"full:\n  learning_rate: {written}\n", encoding="utf-8")
    assert f"line 2: {written}: no plain number; " in message(settings.load, path, "full")
    reports = "yaml/pyyaml#395 opensanctions/opensanctions#3845"
    tried("`010` and `1:30`, in YAML 1.1 not what they look", reports, "refused, with the line")


@pytest.mark.parametrize("text", ["1e", "e5", "1e5x", "five", "1__0e1", "_1e1", "1,5e3", "1e5\n"])
def test_other_text_stays_text(text):
    assert reading.with_numbers(text) is text


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("lora", "alpha", "16"), ("nf4", "double_quant", "true"), ("corpus", "file", "null"),
     ("sweep", "seeds", ["0"])],
)  # fmt: skip
def test_what_snakemakes_command_line_gives_as_text_points_to_a_file(config, section, key, value):
    config[section][key] = value
    said = message(settings.validate, config, settings.COMBINED)
    assert said.startswith(f"settings: {section}.{key}") and "--configfile" in said
    assert "--configfile" not in message(settings.validate, config)


def test_settings_nested_too_deeply_are_one_line_whatever_they_are_written_in(tmp_path):
    for depth in (200, 400, 800, 100_000):
        deep = "[" * depth + "]" * depth
        assert message(settings.load, f'{{"lora": {deep}}}', "lora").startswith("--settings: ")
        (tmp_path / "p.yaml").write_text(f"lora: {deep}", encoding="utf-8")
        assert message(settings.load, tmp_path / "p.yaml", "lora")


def test_a_missing_or_binary_file_is_named(tmp_path):
    assert "no such file" in message(settings.load, tmp_path / "none.yaml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in message(settings.load, tmp_path / "binary")


def test_a_stage_sees_its_sections_and_nothing_else(config):
    inline = json.dumps(config)
    assert settings.load(inline, "lora", "sweep.ranks") == {
        "lora": config["lora"],
        "sweep": {"ranks": config["sweep"]["ranks"]},
    }
    assert settings.load("params.yaml", "full") == {"full": config["full"]}


@pytest.mark.parametrize("section", ["tuning", "sweep.seeds", "sweep"])
def test_a_section_that_a_stage_needs_and_did_not_get_is_named(section):
    said = message(settings.load, '{"sweep": {"ranks": [1], "qlora_ranks": [1]}}', section)
    assert said.startswith("--settings: ") and "missing" in said


def test_inline_sections_are_checked_like_the_file():
    assert "lora.alpha: -1 is too small" in message(
        settings.load,
        '{"lora": {"target_modules": ["q_proj"], "alpha": -1, "dropout": 0}}',
        "lora",
    )
    assert "not valid JSON" in message(settings.load, "{lora}", "lora")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=8,
    ),
    st.data(),
)
def test_no_value_anywhere_gets_more_than_one_line(value, data):
    config = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    section = data.draw(st.sampled_from(sorted(config)))
    key = data.draw(st.sampled_from(sorted(config[section])))
    config[section][key] = value
    try:
        settings.validate(config)
    except UserError as error:
        assert "\n" not in str(error)
