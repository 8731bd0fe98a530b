"""The variances on the page are those of the data, and its advice follows from them."""

import sys

import numpy as np
import pandas as pd
import pytest

from benchmarks.telling_apart import __main__ as program
from benchmarks.telling_apart import measured, published, variances
from minituner.foundation import parquet
from minituner.foundation.errors import UserError

TRUE = variances.Components(pair=0.6, prompt=1.5, seed=0.3, seed_pair=1.5, rest=0.8)
UNEVEN = np.repeat([f"pair {i}" for i in range(14)], [4, 6, 7, 1, 5, 6, 9] * 2)


def made(draw, parts, pairs=UNEVEN, seeds=4):
    """Scores (seeds, prompts) with these variances."""
    _, codes = np.unique(pairs, return_inverse=True)
    sizes = [(1, codes.max() + 1), (1, len(codes)), (seeds, 1), (seeds, codes.max() + 1)]
    sizes.append((seeds, len(codes)))
    pair, prompt, seed, both, rest = (
        draw.normal(0, part**0.5, size) for part, size in zip(parts, sizes, strict=True)
    )
    return 2 + pair[:, codes] + prompt + seed + both[:, codes] + rest


def test_the_estimates_are_right_on_average_for_uneven_pairs():
    draw = np.random.default_rng(0)
    drawn = np.array([variances.components(made(draw, TRUE), UNEVEN) for _ in range(400)])
    error = drawn.std(axis=0) / len(drawn) ** 0.5
    assert (abs(drawn.mean(axis=0) - TRUE) < 4 * error).all()
    assert (error < 0.1 * np.array(TRUE)).all()  # so that a wrong part would be seen


@pytest.mark.parametrize("part", ["pair", "seed"])
def test_what_differs_between_pairs_or_seeds_alone_is_all_put_there(part):
    only = variances.Components(0, 0, 0, 0, 0)._replace(**{part: 1.0})
    pairs = np.repeat(np.arange(9), 5)
    scores = made(np.random.default_rng(1), only, pairs)
    estimate = variances.components(scores, pairs)
    distinct = scores[0, ::5] if part == "pair" else scores[:, 0]
    expected = only._replace(**{part: np.var(distinct, ddof=1)})
    assert np.allclose(estimate, expected)


def test_a_mean_varies_as_much_as_the_design_says():
    draw = np.random.default_rng(2)
    for pairs, seeds in ((UNEVEN, 4), (np.arange(30), 2), (UNEVEN[:20], 1)):
        means = [made(draw, TRUE, pairs, seeds).mean() for _ in range(3000)]
        how = variances.spread(TRUE, variances.together(pairs))
        width = how.half_width(len(pairs), seeds)
        assert np.std(means) * variances.HALF == pytest.approx(width, rel=0.06)


def test_nothing_is_left_of_what_two_ranks_share():
    scores = made(np.random.default_rng(3), TRUE)
    own = measured.measure({1: scores, 8: scores + 1}, UNEVEN)
    assert np.allclose(own.differences[1, 8], 0, atol=1e-9)
    assert own.paired().half_width(100, 1) < 1e-4 < own.unpaired().half_width(100, 1)


def test_the_fewest_items_and_seeds_are_enough_and_one_fewer_is_not():
    how = variances.Spread(items=2.0, seeds=0.01, both=3.0)
    for number in (1, 3, 10):
        for error in (0.11, 0.5):
            items, seeds = how.fewest_items(number, error), how.fewest_seeds(200, error)
            assert how.half_width(items, number) <= variances.HALF * error * (1 + 1e-9)
            assert items == 1 or how.half_width(items - 1, number) > variances.HALF * error
            if seeds:
                assert how.half_width(200, seeds) <= variances.HALF * error * (1 + 1e-9)
                assert seeds == 1 or how.half_width(200, seeds - 1) > variances.HALF * error


def test_where_seeds_alone_differ_by_more_no_number_of_items_is_said_to_do():
    how = variances.Spread(items=1.0, seeds=0.04, both=0.0)
    assert how.fewest_items(1, 0.19) is None and how.fewest_items(1, 0.21) is not None
    assert how.fewest_seeds(25, 0.19) is None and how.fewest_seeds(30, 0.19) is not None


def test_a_difference_of_the_found_size_leaves_zero_out_in_four_of_five_tries():
    drawn = np.random.default_rng(4).normal(variances.FOUND, 1, 100_000)
    assert (drawn > variances.HALF).mean() == pytest.approx(variances.POWER, abs=0.01)


def test_the_published_intervals_are_those_of_coins():
    right = np.random.default_rng(5).binomial(published.ITEMS, 0.47, (2, 20_000)) / published.ITEMS
    alone, two = np.std(right[0]), np.std(right[0] - right[1])
    assert published.half_width(0.47) == pytest.approx(variances.HALF * alone, rel=0.03)
    assert published.half_width(0.47, 0.47) == pytest.approx(variances.HALF * two, rel=0.03)


def runs(folder, seeds_of, pairs=UNEVEN):
    """Evaluation files of a base and of LoRA at each rank with its seeds."""
    draw, paths = np.random.default_rng(6), []
    prompts = made(draw, TRUE._replace(seed=0, seed_pair=0, rest=0), seeds=1)[0]
    names = ["base", *(f"lora_r{rank}_s{s}" for rank, seeds in seeds_of.items() for s in seeds)]
    for name in names:
        margin = prompts + draw.normal(0, 0.5, len(prompts)) + draw.normal(0, 0.2)
        table = pd.DataFrame(
            {
                "id": [f"{i:03}" for i in range(len(prompts))],
                "pair": pairs,
                "split": ["val" if i % 10 == 0 else "test" for i in range(len(prompts))],
                "set": "irregular",
                "tense": "past_simple",
                "margin": margin,
                "chosen": margin > 0,
            }
        )
        paths.append(folder / f"{name}.parquet")
        parquet.write_frame(paths[-1], table)
    return paths


def test_the_page_and_its_picture_come_from_the_evaluations(tmp_path, monkeypatch):
    paths = runs(tmp_path, {2: range(3), 8: range(3), 16: range(3)})
    arguments = ["telling_apart", "--runs", *paths, "--page", tmp_path]
    monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
    program.main()
    page = (tmp_path / "telling_apart.md").read_text()
    tested = len(UNEVEN) - len(UNEVEN[::10])
    assert f"ranks 2, 8, 16, 3 seeds each, on the test's {tested} prompts in" in page
    assert "r = 16 less r = 2" in page and "mean of the 3 differences" in page
    assert "nan" not in page and page.count("\n|---") + page.count("\n|--:") == 7
    assert [line[:2] for line in page.splitlines()[-3:]] == ["1.", "2.", "3."]
    assert (tmp_path / "telling_apart.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "seeds_of", [{1: range(3)}, {1: range(3), 8: range(1, 4)}, {1: range(2), 8: range(2)}, {}]
)
def test_ranks_without_three_seeds_in_common_are_refused(tmp_path, seeds_of):
    tables = program.read_runs(runs(tmp_path, seeds_of))
    with pytest.raises(UserError, match="telling_apart: needs .*; add to sweep"):
        measured.of_runs(tables)


def test_a_test_of_one_prompt_a_pair_is_refused(tmp_path):
    own = [f"pair {i}" for i in range(len(UNEVEN))]
    tables = program.read_runs(runs(tmp_path, {1: range(3), 8: range(3)}, own))
    with pytest.raises(UserError, match="one prompt a pair; raise subsets"):
        measured.of_runs(tables)
