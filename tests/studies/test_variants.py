"""The studies' runs: what each is tuned on, and a seed taken through them."""

import dataclasses

import numpy as np
import pytest
import torch

from minituner import compute, train
from minituner.foundation import parquet
from minituner.model import MiniGPT
from studies import subspace, tuning, variants
from tests.analysis.made import STUDY
from tests.support.command import call
from tests.support.runs import NF4
from tests.support.sentences import SENTENCES, subset_rows

ROWS = subset_rows(SENTENCES[:4], ("train",))
STANDARD = variants.variants(variants.TASKS, STUDY, [])[0]


def changed(**fields):
    return dataclasses.replace(STANDARD, **fields)


@pytest.mark.parametrize(
    "study", [variants.TASKS, variants.METHODS, variants.CONVENTIONS, variants.TARGETS, "subspace"]
)
def test_the_runs_of_a_study_have_names_of_their_own_and_differ(study):
    runs = variants.variants(study, STUDY, ["go", "eat"])
    assert len({run.name for run in runs}) == len(runs)
    assert len({dataclasses.replace(run, name="") for run in runs}) == len(runs)


def test_conventions_that_scale_alike_at_a_rank_share_its_runs():
    """With α = 4 and r = 2 both α/r and 2 are a scale of 2."""
    runs = variants.variants(variants.CONVENTIONS, STUDY, [])
    at_two = [run for run in runs if run.rank == 2 and run.alpha == 4]
    rates = STUDY["science"]["convention_rates"]
    assert sorted(run.rate for run in at_two) == sorted({*rates["fixed"], *rates["proportional"]})


def test_every_choice_of_linears_has_nearly_as_many_parameters():
    sizes = dict.fromkeys(variants.ATTENTION, 64 + 64) | dict.fromkeys(variants.MLP, 64 + 256)
    counts = [rank * sum(sizes[m] for m in modules) for modules, rank in variants.PLACES.values()]
    assert max(counts) / min(counts) < 1.03


def test_a_verb_left_out_is_in_no_example():
    pairs = tuning.examples(ROWS, changed(without="go"), 0)
    assert len(pairs) == 2 and all(text.startswith("eat:") for text, _ in pairs)


def test_fewer_examples_are_among_the_more_and_spread_over_the_cells():
    two, three = (tuning.examples(ROWS, changed(examples=n), 0) for n in (2, 3))
    assert len(three) == 3 and set(two) < set(three)


class Tuned(Exception):
    """Raised in place of tuning, with what would be tuned on."""


def test_the_standard_examples_are_those_of_the_tuning_itself(
    base, irregular, tmp_path, monkeypatch
):
    def tune(model, settings, examples, seed, **how):
        raise Tuned(examples)

    monkeypatch.setattr(train, "tune", tune)
    paths = {"base": base, "irregular": irregular, "out": tmp_path / "out"}
    with pytest.raises(Tuned) as stopped:
        call("train", given=STUDY, method="lora", rank=1, seed=0, **paths)
    (tuned_on,) = stopped.value.args
    rows = [r for r in parquet.read_table(irregular).to_pylist() if r["split"] == "train"]
    rows = [r for r in rows if r["set"] == "irregular"]
    assert tuning.examples(rows, STANDARD, 0) == tuned_on["train"]


def test_the_whole_sentence_is_shown_with_its_end():
    (text, seen), *_ = tuning.examples(ROWS, changed(whole_sentence=True), 0)
    assert text == "go: yesterday she went to school.\n" and seen == len(text)


def test_a_random_subspace_starts_at_the_base_trains_its_coordinates_alone_and_merges(config):
    model = MiniGPT(config, compute.generator(0, "test"))
    ids = torch.randint(0, config.vocab_size, (2, 7), generator=torch.Generator().manual_seed(0))
    before = model(ids)
    subspace.wrap(model, 5, ("q_proj", "v_proj"), np.random.default_rng(0))
    assert torch.equal(model(ids), before)
    trained = [p for p in model.parameters() if p.requires_grad]
    assert [tuple(p.shape) for p in trained] == [(5,)]
    lengths = torch.cat(
        [block.attn.get_submodule(n).directions for block in model.blocks
         for n in ("q_proj", "v_proj")]
    ).norm(dim=0)  # fmt: skip
    assert lengths.tolist() == pytest.approx([1] * 5, abs=0.1)
    with torch.no_grad():
        trained[0] += 1
    assert not torch.allclose(model(ids), before)
    plain = subspace.merged(model)
    assert torch.allclose(plain(ids), model(ids), atol=1e-6)
    assert not any(isinstance(m, subspace.RandomSubspace) for m in plain.modules())


@pytest.mark.parametrize("study", [variants.METHODS, variants.TASKS, "subspace"])
def test_a_study_runs_from_files_to_its_tables_twice_to_the_same_bytes(
    study, base, irregular, control, tmp_path
):
    call("quantize", given={"nf4": NF4}, base=base, out=tmp_path / "nf4")
    paths = {"base": base, "nf4": tmp_path / "nf4", "irregular": irregular, "control": control}
    for name in ("s0", "again"):
        out = {"out": tmp_path / f"{name}.parquet", "curves": tmp_path / f"{name}_curves.parquet"}
        call("study", given=STUDY, study=study, seed=0, **paths, **out)
    for kind in ("", "_curves"):
        one, two = ((tmp_path / f"{n}{kind}.parquet").read_bytes() for n in ("s0", "again"))
        assert one == two
    table = parquet.read_frame(tmp_path / "s0.parquet")
    names = [run.name for run in variants.variants(study, STUDY, ["eat", "go"])]
    assert list(table["variant"].unique()) == ["base", *names]
