"""The figures of the LoRA and QLoRA papers come out of the formulas; where they do not, it is said.

LoRA: Hu et al. 2021, arXiv:2106.09685v2. QLoRA: Dettmers et al. 2023, arXiv:2305.14314v1.
"""

import json
import struct

import pytest
import torch

from minituner.budget import calculator, formula
from minituner.budget.calculator import Question
from minituner.budget.formula import GATED_LINEARS, Regime
from minituner.budget.shapes import PRESETS
from minituner.checkpoints.models import save_tensors
from minituner.foundation.errors import UserError
from minituner.lora import lora_state_dict, wrap_minigpt_with_lora
from minituner.model import MiniGPT, ModelConfig
from minituner.workflow.cli import main

QV = ("q_proj", "v_proj")
GPT3, LLAMA7, LLAMA65 = (PRESETS[name] for name in ("gpt3-175b", "llama-7b", "llama-65b"))


def held(row):
    """Weights, gradients and optimizer of a row, in bytes."""
    return sum(row[f"{bucket}_bytes"] for bucket in ("weights", "gradients", "optimizer"))


@pytest.mark.parametrize(
    ("name", "rank", "expected", "printed"),
    [
        ("roberta-base", 8, 294_912, 0.3),  # LoRA, table 2
        ("roberta-large", 8, 786_432, 0.8),  # LoRA, table 2
        ("gpt3-175b", 1, 4_718_592, 4.7),  # LoRA, table 4
        ("gpt3-175b", 8, 37_748_736, 37.7),  # LoRA, table 4
    ],
)
def test_published_adapters_on_q_and_v(name, rank, expected, printed):
    parameters = formula.adapter_parameters(PRESETS[name], rank, QV)
    assert parameters == expected
    assert round(parameters / 1e6, 1) == printed


@pytest.mark.parametrize(
    ("name", "ours", "printed"), [("gpt2-medium", 393_216, 0.35), ("gpt2-large", 737_280, 0.77)]
)
def test_the_papers_gpt2_adapters_do_not_match_its_configuration(name, ours, printed):
    # LoRA, table 3, prints 0.35 M and 0.77 M; its table 11 states r_q = r_v = 4, which makes these.
    assert formula.adapter_parameters(PRESETS[name], 4, QV) == ours
    assert round(ours / 1e6, 2) != printed


def test_gpt3s_checkpoint_shrinks_about_ten_thousand_times():
    # LoRA, section 4.2: r = 4 on q and v, "roughly 10,000× (from 350GB to 35MB)"; 9,250 by formula.
    whole = 2 * GPT3.total_parameters()
    adapter = formula.safetensors_bytes(calculator.adapter_tensors(GPT3, 4, QV), 2)
    assert whole == pytest.approx(350e9, rel=0.01)
    assert adapter == pytest.approx(35e6, rel=0.09)
    assert whole / adapter == pytest.approx(10_000, rel=0.09)


def test_regular_16_bit_tuning_of_65b_takes_780_gb():
    # QLoRA, abstract and p. 1: "more than 780 GB": 12 bytes a parameter.
    bytes_held = held(formula.count(LLAMA65, Regime("full"), 0, each=2))
    assert bytes_held / LLAMA65.total_parameters() == pytest.approx(12, abs=1e-4)
    assert 780e9 < bytes_held < 790e9


def test_double_quantization_saves_what_the_paper_says():
    # QLoRA, section 3, "Double Quantization": 0.5 → 0.127 bits, 0.373 saved; p. 2: "approximately
    # 3 GB for a 65B model".
    single, double = (calculator.bits_a_parameter(64, d) for d in (False, True))
    assert single == 4.5
    assert double == pytest.approx(4.127, abs=5e-4)
    assert single - double == pytest.approx(0.373, abs=5e-4)
    weights = [
        formula.weights_bytes(LLAMA65, Regime("qlora", 8, GATED_LINEARS, 64, double_quant))
        for double_quant in (False, True)
    ]
    assert round((weights[0] - weights[1]) / 1e9) == 3


def test_a_65b_model_is_tuned_on_one_48_gb_card():
    # QLoRA, abstract: "finetune a 65B parameter model on a single 48GB GPU"; rank 64, appendix B.
    row = formula.count(LLAMA65, Regime("qlora", 64, GATED_LINEARS, 64, True), 0, each=2)
    lora = formula.count(LLAMA65, Regime("lora", 64, GATED_LINEARS), 0, each=2)
    assert held(row) < 48e9 < held(lora)


def test_rank_8_on_all_linears_of_7b_is_a_third_of_a_percent():
    row = formula.count(LLAMA7, Regime("lora", 8, GATED_LINEARS), 0)
    assert row["trainable_parameters"] == 19_988_480
    assert f"{row['trainable_percent']:.2f}" == "0.30"


@pytest.mark.parametrize(("dtype", "each"), [(torch.float32, 4), (torch.float16, 2)])
def test_the_predicted_file_is_the_written_one(tmp_path, dtype, each):
    model = wrap_minigpt_with_lora(MiniGPT(ModelConfig("x" * 29)), 3, target_modules=["fc1"])
    state = {name: tensor.to(dtype) for name, tensor in lora_state_dict(model).items()}
    save_tensors(tmp_path / "a", state)
    tensors = calculator.adapter_tensors(PRESETS["minigpt"], 3, ("fc1",))
    written = (tmp_path / "a").read_bytes()
    header = json.loads(written[8 : 8 + struct.unpack("<Q", written[:8])[0]])
    assert {n: tuple(v["shape"]) for n, v in header.items() if n != "__metadata__"} == tensors
    assert formula.safetensors_bytes(tensors, each) == len(written)


def test_the_table_shows_the_three_regimes_and_activations_only_where_asked(capsys):
    assert main(["counts", "--shape", "llama-7b"]) == 0
    text = capsys.readouterr().out
    assert "6,738,415,616 parameters" in text and "| QLoRA r=8, all Linears | 19,988,480 " in text
    assert "activations" not in text
    assert main(["counts", "--shape", "llama-7b", "--batch", "1", "--targets", "q_proj"]) == 0
    text = capsys.readouterr().out
    assert "activations" in text and "| LoRA r=8, q_proj |" in text
    assert main(["counts", "--list"]) == 0
    assert ["llama-7b", "6,738,415,616"] in [x.split() for x in capsys.readouterr().out.split("\n")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": "fc1"}, "--targets: 'fc1' is no Linear; use all or q_proj,"),
        ({"targets": ""}, "--targets: '' is no Linear"),
        ({"rank": 5000}, "--rank: 5000 is above 4096"),
    ],
)
def test_a_wrong_option_is_named_with_the_remedy(options, message):
    with pytest.raises(UserError) as error:
        calculator.rows(Question("llama-7b", **options))
    assert message in str(error.value)


def test_counts_without_a_model_says_what_to_add(capsys):
    assert main(["counts"]) == 2
    assert "say --shape NAME, or --base and --out" in capsys.readouterr().err
