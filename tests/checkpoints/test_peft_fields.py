"""Whatever PEFT saves is computed as PEFT computes it, or refused by the name of what is set."""

import dataclasses

import pytest
import torch

from minituner import compute, qlora
from minituner.checkpoints.adapters import load_adapter, save_adapter
from minituner.checkpoints.models import load_model, save_model
from minituner.checkpoints.peft_fields import FIELDS
from minituner.foundation import storage
from minituner.foundation.errors import UserError
from minituner.lora import lora_layers, wrap_minigpt_with_lora
from minituner.model import MiniGPT
from tests.support.tiny_project import ROOT

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
INIT = "init_lora_weights"
# What an adapter is saved with → whether it is read. Each is what PEFT's LoraConfig takes.
READ = {
    "plain": {},
    **{f"init {name}": {INIT: name} for name in (True, False, "gaussian", "orthogonal", "mica")},
    "init eva": {INIT: "eva"},
    "base_model_name_or_path": {"base_model_name_or_path": "somebody/base"},
    "corda_config of another init": {"corda_config": {"corda_method": "kpm"}},
    "ensure_weight_tying": {"ensure_weight_tying": True},
    "eva_config of another init": {"eva_config": {"rho": 1.5}},
    "exclude_modules by ending": {"exclude_modules": ["0.attn.q_proj"]},
    "exclude_modules by regex": {"exclude_modules": r".*0.*q_proj"},
    "fan_in_fan_out, which PEFT takes back": {"fan_in_fan_out": True},
    "inference_mode": {"inference_mode": True},
    "layers_pattern, two": {"layers_to_transform": 1, "layers_pattern": ["h", "blocks"]},
    "layers_to_transform": {"layers_to_transform": [1], "layers_pattern": "blocks"},
    "loftq_config of another init": {"loftq_config": {"loftq_bits": 4}},
    "lora_alpha": {"lora_alpha": 3.5},
    "lora_dropout": {"lora_dropout": 0.5},
    "lora_ga_config of another init": {"lora_ga_config": {"direction": "ArBr"}},
    "megatron_core": {"megatron_core": "elsewhere.core"},
    "qalora_group_size": {"qalora_group_size": 4},
    "r": {"r": 3},
    "target_modules with one that is not there": {"target_modules": ["q_proj", "lm_head"]},
    "target_modules, all-linear": {"target_modules": "all-linear"},
    "target_modules, regex": {"target_modules": r"blocks\.1\..*fc1"},
    "task_type": {"task_type": "CAUSAL_LM"},
    "use_rslora": {"use_rslora": True},
    "use_rslora at another rank": {"use_rslora": True, "r": 7, "lora_alpha": 5},
}
REFUSED = {
    **{f"init {name}": {INIT: name} for name in ("olora", "pissa", "pissa_niter_4")},
    "init corda": {INIT: "corda", "corda_config": {"corda_method": "kpm"}},
    "init lora_ga": {INIT: "lora_ga", "lora_ga_config": {}},
    "alora_invocation_tokens": {"alora_invocation_tokens": [1, 2]},
    "alpha_pattern": {"alpha_pattern": {"v_proj": 3}},
    "bias": {"bias": "all"},
    "bias of adapted layers": {"bias": "lora_only", "target_modules": ["fc1"]},
    "kasa_config": {"kasa_config": {}},
    "lora_bias": {"lora_bias": True},
    "modules_to_save": {"modules_to_save": ["ln_f"]},
    "monteclora_config": {"monteclora_config": {}},
    "rank_pattern": {"rank_pattern": {"0.attn.q_proj": 2}},
    "target_parameters": {"target_parameters": ["mlp.fc1.weight"]},
    "trainable_token_indices": {"trainable_token_indices": {"tok_emb": [1, 2]}},
    "use_bdlora": {"use_bdlora": {"target_modules_bd_a": ["proj"], "nblocks": 2}},
    "use_dora": {"use_dora": True},
    "use_qalora": {"use_qalora": True},
    "velora_config": {"velora_config": {}},
}
# What PEFT needs more than a MiniGPT for is written into the file of a plain adapter.
WRITTEN = {
    "init loftq": {INIT: "loftq", "loftq_config": {"loftq_bits": 4}},
    "arrow_config": {"arrow_config": {"arrow_top_k": 2}},
    "fan_in_fan_out": {"fan_in_fan_out": True},
    "layer_replication": {"layer_replication": [[0, 2], [0, 1]]},
    "megatron_config": {"megatron_config": {"tensor_model_parallel_size": 2}},
    "a field of a newer PEFT": {"use_next_year": True},
    "a number of a newer PEFT": {"next_year_factor": 2},
    "an init of a newer PEFT": {INIT: "next_year"},
}
# Cases that people met elsewhere: what it is, what reports it, what becomes of it here.
REPORTED = {
    "use_rslora": (
        "an adapter with `use_rslora`",
        "NVIDIA/TensorRT-LLM#1668 sgl-project/sglang#40835",
        "read, with PEFT's logits",
    ),
    "layers_to_transform": (
        "an adapter with `layers_to_transform`, the layers at the root of the model",
        "huggingface/peft#3610 huggingface/peft#2155",
        "read, with PEFT's logits",
    ),
    "target_modules, all-linear": (
        'an adapter with `target_modules: "all-linear"`',
        "huggingface/peft#3229",
        "read, with PEFT's logits",
    ),
    "init pissa": (
        "a PiSSA adapter, whose base was changed",
        "huggingface/peft#2184",
        "refused by name, with a remedy that works",
    ),
    "a field of a newer PEFT": (
        "an adapter of a newer PEFT",
        "huggingface/peft#2275 oobabooga/textgen#6819",
        "an unknown field is refused by name if it is set",
    ),
}
SET_BY_PEFT = {"auto_mapping", "peft_type", "peft_version", "revision", "runtime_config"}


def ids():
    return torch.randint(0, 20, (3, 12), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def strong(config):
    """A function that makes the same model at each call, whose weights matter for the output."""

    def make():
        made = MiniGPT(config, compute.generator(0, "test"))
        made.requires_grad_(False)
        for parameter in made.parameters():
            if parameter.dim() == 2:
                parameter.mul_(6)
        made.prepare_inputs_for_generation = lambda *_: None  # PEFT asks for it, and leaves it
        return made.requires_grad_(True)

    return make


@pytest.fixture
def strong_base(strong, tmp_path):
    """A folder with that model."""
    save_model(tmp_path / "strong", strong())
    return tmp_path / "strong"


def made_by_peft(model, options):
    """A model that PEFT has wrapped, its weights as they are before training."""
    peft = pytest.importorskip("peft", reason="the peers are not installed: make peers")
    options = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]} | options
    config = peft.LoraConfig(**options)
    if config.init_lora_weights == "corda":
        from peft.tuners.lora import corda

        corda.preprocess_corda(model, config, run_model=lambda: model(ids()[:1]))
    if config.init_lora_weights == "lora_ga":
        from peft.tuners.lora import loraga

        step = lambda: model.loss(ids(), ids().roll(1, 1)).backward()  # noqa: E731
        loraga.preprocess_loraga(model, config, step)
    theirs = peft.get_peft_model(model, config)
    if config.init_lora_weights == "eva":
        peft.initialize_lora_eva_weights(
            theirs,
            [{"ids": ids()}] * 20,
            forward_fn=lambda model, inputs: model(inputs["ids"]),
            prepare_model_inputs_fn=None,
            prepare_layer_inputs_fn=None,
        )
    return theirs


@torch.no_grad()
def trained(theirs):
    """The same model, its adapter moved from where it began."""
    draw = torch.Generator().manual_seed(1)
    for name, parameter in theirs.named_parameters():
        if "lora_" in name:
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=draw))
    return theirs


@pytest.mark.parametrize("case", READ)
def test_what_is_read_gives_the_logits_of_peft(case, strong, strong_base, tmp_path, tried):
    trained(made_by_peft(strong(), READ[case])).save_pretrained(tmp_path / "adapter")
    import peft

    theirs = peft.PeftModel.from_pretrained(strong(), tmp_path / "adapter")
    expected = theirs.eval().get_base_model()(ids())
    ours = load_adapter(tmp_path / "adapter", strong(), strong_base).eval()
    assert not torch.allclose(expected, strong()(ids()), atol=1e-2)
    assert torch.allclose(ours(ids()), expected, atol=1e-5)
    assert torch.allclose(qlora.merge_model(ours)(ids()), expected, atol=1e-4)
    note(tried, case)


@pytest.mark.parametrize("init", ["pissa", "olora"])
@pytest.mark.parametrize("use_rslora", [False, True])
def test_the_remedy_for_a_changed_base_works(init, use_rslora, strong, strong_base, tmp_path):
    theirs = made_by_peft(strong(), {INIT: init, "use_rslora": use_rslora})
    theirs.peft_config["default"].init_lora_weights = True
    theirs.save_pretrained(tmp_path / "begun")
    theirs.peft_config["default"].init_lora_weights = init
    converted = {"path_initial_model_for_weight_conversion": str(tmp_path / "begun")}
    trained(theirs).save_pretrained(tmp_path / "adapter", **converted)
    ours = load_adapter(tmp_path / "adapter", strong(), strong_base).eval()
    assert torch.allclose(ours(ids()), theirs.eval().get_base_model()(ids()), atol=1e-4)


def note(tried, case):
    """Put a case that people met elsewhere on the page of what was tried."""
    if case in REPORTED:
        tried(*REPORTED[case])


def refusal(folder, model, base):
    with pytest.raises(UserError) as error:
        load_adapter(folder, model, base)
    return str(error.value)


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_more_than_plain_lora_is_refused_by_name(
    case, strong, strong_base, tmp_path, tried
):
    trained(made_by_peft(strong(), REFUSED[case])).save_pretrained(tmp_path / "adapter")
    field = next(iter(REFUSED[case]))
    said = refusal(tmp_path / "adapter", strong(), strong_base)
    assert f"adapter_config.json: {field}: " in said and FIELDS[field].does in said
    note(tried, case)


@pytest.fixture
def plain(strong, strong_base, tmp_path):
    """A plain adapter of ours, and a function that sets fields of its JSON."""
    model = wrap_minigpt_with_lora(strong(), r=2)
    for layer in lora_layers(model).values():
        torch.nn.init.normal_(layer.lora_B)
    save_adapter(tmp_path / "plain", model, strong_base)

    def written(**fields):
        path = tmp_path / "plain" / "adapter_config.json"
        storage.write_json(path, storage.read_json(path) | fields)
        return tmp_path / "plain"

    return written


@pytest.mark.parametrize("case", WRITTEN)
def test_what_peft_cannot_make_here_is_refused_by_name(case, plain, strong, strong_base, tried):
    field = next(iter(WRITTEN[case]))
    said = refusal(plain(**WRITTEN[case]), strong(), strong_base)
    assert f"adapter_config.json: {field}: " in said and "; " in said
    note(tried, case)


@pytest.mark.parametrize("unset", [None, False, "", [], {}])
def test_a_field_that_is_not_set_changes_nothing(unset, plain, strong, strong_base):
    before = load_adapter(plain(), strong(), strong_base)(ids())
    fields = {"use_next_year": unset} | {name: unset for name in FIELDS if not FIELDS[name].kind}
    after = load_adapter(plain(**fields), strong(), strong_base)(ids())
    assert torch.equal(before, after)


def test_every_field_of_pefts_config_is_known_and_tried():
    peft = pytest.importorskip("peft", reason="the peers are not installed: make peers")
    fields = {field.name for field in dataclasses.fields(peft.LoraConfig)}
    tried = {name for cases in (READ, REFUSED, WRITTEN) for case in cases.values() for name in case}
    assert fields == FIELDS.keys()
    assert fields - SET_BY_PEFT == tried & fields


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"peft_type": "LOHA"}, "peft_type: 'LOHA' is not LORA, the only method"),
        ({"use_rslora": "yes"}, "use_rslora: 'yes' is not true or false"),
        ({"exclude_modules": 3}, "exclude_modules: 3 is not a list of names"),
        ({"exclude_modules": "("}, "exclude_modules: '(' is no regex"),
        ({"exclude_modules": "(a+)+"}, "exclude_modules: '(a+)+' may take for ever"),
        ({"exclude_modules": ["proj", "attn.q_proj", "v_proj"]}, "leaves no Linear of the base"),
        ({"layers_to_transform": 0.0}, "layers_to_transform: 0.0 is not a list of integers"),
        ({"layers_to_transform": [True]}, "layers_to_transform: [True] is not a list of integers"),
        ({"layers_to_transform": [1]}, "leaves no Linear of the base"),
        ({"layers_to_transform": [7], "layers_pattern": "blocks"}, "leaves no Linear of the base"),
        ({"layers_pattern": "blocks"}, "layers_pattern: has no layers_to_transform"),
        ({"layers_to_transform": 1, "layers_pattern": "("}, "layers_pattern: '(' is no regex"),
        ({"layers_to_transform": 1, "layers_pattern": "(?P<number>b)"}, "layers_pattern: no regex"),
        ({"layers_to_transform": 1, "target_modules": ".*proj"}, "needs names in target_modules"),
        ({"layers_to_transform": 1, "layers_pattern": "blocks"}, "superfluous"),
        ({"revision": "main"}, "revision: 'main' is a hub's name for a version"),
        ({"revision": 7}, "revision: 7 is not text; train"),
        ({"brand_new": 7}, "known here; train the adapter without it, or delete the field"),
        ({"use_rslora": True, "r": -1}, "math domain error"),
    ],
)
def test_what_is_read_but_cannot_be_is_named(fields, message, plain, strong, strong_base):
    assert message in refusal(plain(**fields), strong(), strong_base)


def test_an_adapter_without_a_revision_is_read(plain, strong, strong_base, tried):
    load_adapter(plain(revision=None), load_model(strong_base), strong_base)
    kind = "an adapter whose `revision` is a hub's `main`, or none"
    tried(kind, "huggingface/peft#1567", "refused with the remedy; without one read")


def test_the_page_says_of_every_refused_field_what_it_does():
    rows = set()
    for name, field in FIELDS.items():
        if field.harmless is not None:
            values = ", ".join(f"`{value}`" for value in field.harmless)
            rows.add(f"| `{name}` | {values} | {field.does} |".replace("|  |", "| |"))
    page = (ROOT / "docs" / "adapters.md").read_text(encoding="utf-8")
    assert rows == {line for line in page.splitlines() if line.startswith("| `")}
