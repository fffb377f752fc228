from __future__ import annotations

from types import SimpleNamespace

from lisa_ros.evaluation.report.galleries import PICTURES, chosen_outcomes

MANY = [SimpleNamespace(id=n, iou=(n * 7 % 40) / 40, has_target=n % 5 != 0) for n in range(40)]


def test_the_worst_and_the_best_are_of_things_that_are_there():
    chosen = chosen_outcomes(MANY, seed=0)
    present = sorted(one.iou for one in MANY if one.has_target)
    assert [one.iou for one in chosen["Worst"]] == present[:PICTURES]
    assert [one.iou for one in chosen["Best"]] == present[::-1][:PICTURES]


def test_random_ones_are_drawn_by_seed_without_repeats():
    first, second, other = (
        [one.id for one in chosen_outcomes(MANY, seed=seed)["Drawn at random"]] for seed in (1, 1, 2)
    )
    assert first == second != other and len(set(first)) == PICTURES


def test_few_outcomes_give_few_pictures_and_none_is_both_best_and_worst():
    present = [one for one in MANY if one.has_target]
    for count, worst in ((5, 2), (1, 0)):
        chosen = chosen_outcomes(present[:count], 0)
        assert [len(chosen[name]) for name in ("Worst", "Best", "Drawn at random")] == [worst, count - worst, count]
        assert not {one.id for one in chosen["Worst"]} & {one.id for one in chosen["Best"]}
    assert not any(chosen_outcomes([], 0).values())
