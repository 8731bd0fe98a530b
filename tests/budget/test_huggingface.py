"""A config.json of the hub has the parameters that its model has, or is refused by what it is."""

import json
from pathlib import Path

import pytest

from minituner.budget import calculator, formula, huggingface
from minituner.budget.calculator import Question
from minituner.budget.formula import Regime
from minituner.budget.shapes import PRESETS
from minituner.foundation.errors import UserError
from minituner.workflow.cli import main

pytestmark = pytest.mark.filterwarnings("ignore:::transformers", "ignore:::peft")
SIZES = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 64,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
}
GPT2 = {"n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 32, "vocab_size": 64}
MODELS = {
    "llama": SIZES,
    "llama, tied, with biases": SIZES
    | {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True},
    "llama, wide heads": SIZES | {"head_dim": 8},
    "llama, a head each": SIZES | {"num_key_value_heads": None},
    "mistral": SIZES,
    "mistral, wide heads": SIZES | {"head_dim": 8},
    "qwen2": SIZES,
    "qwen2, tied": SIZES | {"tie_word_embeddings": True},
    "qwen3": SIZES | {"head_dim": 8},
    "qwen3, usual heads": SIZES,
    "qwen3, with biases": SIZES | {"attention_bias": True},
    "gemma": SIZES,
    "gemma, untied": SIZES | {"tie_word_embeddings": False, "head_dim": 8},
    "gemma2": SIZES | {"head_dim": 8},
    "gemma3_text": SIZES | {"head_dim": 8},
    "gpt2": GPT2,
    "gpt2, another inner width": GPT2 | {"n_inner": 50},
    "phi": SIZES,
    "phi, a head each": SIZES | {"num_key_value_heads": None},
    "phi3": SIZES,
    "phi3, tied": SIZES | {"tie_word_embeddings": True},
}


def written(folder, **fields):
    (folder / "config.json").write_text(json.dumps(fields))
    return folder / "config.json"


@pytest.mark.parametrize("name", MODELS)
def test_a_shape_has_the_parameters_and_adapters_of_the_model(name, tmp_path):
    transformers = pytest.importorskip("transformers", reason="the peers are not installed")
    peft = pytest.importorskip("peft", reason="the peers are not installed: make peers")
    config = transformers.AutoConfig.for_model(name.partition(",")[0], **MODELS[name])
    config.save_pretrained(tmp_path)
    shape = huggingface.read(tmp_path)
    model = transformers.AutoModelForCausalLM.from_config(config)
    assert shape.total_parameters() == sum(p.numel() for p in model.parameters())
    assert shape.total_tensors() == len(list(model.parameters()))
    wrapped = peft.get_peft_model(model, peft.LoraConfig(r=3, target_modules="all-linear"))
    trained = sum(p.numel() for p in wrapped.parameters() if p.requires_grad)
    assert formula.adapter_parameters(shape, 3, shape.linears()) == trained


@pytest.mark.parametrize("name", ["llama-2-70b", "mistral-7b", "qwen2.5-7b"])
def test_a_file_with_its_sizes_alone_has_what_its_family_shares(name, tmp_path):
    preset = PRESETS[name]
    names = {hub: getattr(preset, ours) for ours, hub in huggingface.SIZES.items()}
    kind = name.partition("-")[0].replace("qwen2.5", "qwen2")
    fields = {key: value for key, value in names.items() if key != "head_dim"}
    assert huggingface.read(written(tmp_path, model_type=kind, **fields)) == preset


def test_gpt2s_file_has_the_published_parameters_and_pefts_adapter(tmp_path):
    sizes = {"n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "vocab_size": 50257}
    shape = huggingface.read(written(tmp_path, model_type="gpt2", **sizes))
    assert shape.total_parameters() == PRESETS["gpt2"].total_parameters() == 124_439_808
    # PEFT's own print for r=8 on c_attn: one A for q, k and v together.
    assert formula.adapter_parameters(shape, 8, ["qkv_proj"]) == 294_912


def test_counts_reads_a_file_or_its_folder(tmp_path, capsys, monkeypatch):
    file = written(tmp_path, model_type="qwen3", **SIZES)
    assert main(["counts", "--shape", str(file)]) == 0
    shown = capsys.readouterr().out
    total = huggingface.read(file).total_parameters()
    assert f": {total:,} parameters" in shown and "| QLoRA r=8, all Linears |" in shown
    assert main(["counts", "--shape", str(tmp_path)]) == 0
    assert shown.partition(": ")[2] == capsys.readouterr().out.partition(": ")[2]
    monkeypatch.chdir(tmp_path)
    Path("gpt2").mkdir()
    assert calculator.shape_of("gpt2") == PRESETS["gpt2"]


@pytest.mark.parametrize("fused", ["gpt2", "phi3"])
def test_fused_linears_are_all_linears_too(fused, tmp_path):
    sizes = GPT2 if fused == "gpt2" else SIZES
    shape = huggingface.read(written(tmp_path, model_type=fused, **sizes))
    assert Regime("lora", 4, tuple(shape.linears())).name == "LoRA r=4, all Linears"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"model_type": "mixtral", "num_local_experts": 8},
            "num_local_experts: 8: mixtral is a mix",
        ),
        ({"model_type": "qwen2_moe", "num_experts": 60}, "num_experts: 60: qwen2_moe is a mixture"),
        ({"model_type": "deepseek_v3", "n_routed_experts": 256}, "deepseek_v3 is a mixture of exp"),
        ({"model_type": "dbrx", "ffn_config": {"moe_num_experts": 16}}, "dbrx is a mixture of exp"),
        ({"model_type": "granitemoe"}, "model_type: granitemoe is a mixture of experts"),
        (
            {"model_type": "llama", "num_experts": 4},
            "num_experts: 4: llama is a mixture of experts",
        ),
        ({"model_type": "mamba"}, "model_type: 'mamba' is not among llama, mistral,"),
        ({"model_type": "gemma3", "text_config": SIZES}, "model_type: 'gemma3' is not among"),
        ({"model": {"vocab": "ab"}}, "model_type: missing"),
        ({"model_type": "llama"}, "num_hidden_layers: missing; add it"),
        (
            {"model_type": "mistral"} | SIZES | {"hidden_size": "24"},
            "hidden_size: '24' is no integ",
        ),
        ({"model_type": "llama"} | SIZES | {"vocab_size": 0}, "vocab_size: 0 is no integer"),
        (
            {"model_type": "llama"} | SIZES | {"hidden_size": True},
            "hidden_size: True is no integer",
        ),
        ({"model_type": "llama"} | SIZES | {"num_attention_heads": 5}, "does not divide d_model"),
        ({"model_type": "llama"} | SIZES | {"num_hidden_layers": 10**9}, "≤ 10,000"),
        ({"model_type": "llama"} | SIZES | {"hidden_size": 10**400}, "and ≤ 1,000,000,000"),
        ({"model_type": "llama"} | SIZES | {"vocab_size": None}, "vocab_size: None is no integer"),
        ({"model_type": "phi"} | SIZES | {"intermediate_size": None}, "intermediate_size: None is"),
        (
            {"model_type": "llama"} | SIZES | {"tie_word_embeddings": "no"},
            "'no' is not true or fals",
        ),
        ({"model_type": "phi"} | SIZES | {"qk_layernorm": True}, "qk_layernorm: has weights that"),
        ({"model_type": "gpt2"} | GPT2 | {"add_cross_attention": True}, "add_cross_attention: has"),
    ],
)
def test_what_is_not_counted_is_named(fields, message, tmp_path):
    with pytest.raises(UserError) as error:
        huggingface.read(written(tmp_path, **fields))
    assert str(error.value).startswith(f"{tmp_path / 'config.json'}: ") and message in str(
        error.value
    )


def test_activations_of_blocks_without_a_formula_are_not_made_up(tmp_path):
    file = written(tmp_path, model_type="gemma2", **SIZES)
    assert calculator.rows(Question(str(file)))
    with pytest.raises(UserError, match="--batch: .* no formula here; leave it out"):
        calculator.rows(Question(str(file), B=1))


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(UserError, match=r"nowhere/config\.json: no such file"):
        calculator.shape_of("nowhere/config.json")
