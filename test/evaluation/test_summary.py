from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lisa_ros.evaluation.outcomes import Outcome
from lisa_ros.evaluation.summary import by, per_kind, summary


def outcome(counts=(1, 2), target=True, **changes):
    made = Outcome(
        id="a", image="a.jpg", text="it", request="it", group="short", kind="cup", sort="name", verdict="found",
        words="It is the cup.", error="", label="cup", right_object=True, masks=1, intersection=counts[0],
        union=counts[1], target_pixels=5 if target else 0, mask_pixels=counts[1], score=1.0, milliseconds=10.0,
        mask=b"",
    )  # fmt: skip
    return replace(made, **changes)


MIXED = [
    outcome((1, 2)),
    outcome((9, 10), group="long", milliseconds=20.0),
    outcome(
        (0, 10), kind="knife", verdict="not_present", right_object=False, mask_pixels=0, masks=0, milliseconds=90.0
    ),
    outcome((0, 0), target=False, kind="fork", verdict="not_present", right_object=False),
    outcome((0, 7), target=False, kind="", group="long", right_object=None, masks=2),
]


def test_a_summary_counts_what_happened():
    figures = summary(MIXED, scores_absent=False)
    assert (figures["requests"], figures["present"], figures["absent"]) == (5, 3, 2)
    assert figures["gIoU"] == pytest.approx((0.5 + 0.9) / 3, abs=1e-5)
    assert figures["cIoU"] == pytest.approx(10 / 22, abs=1e-6)
    low, high = figures["gIoU_interval"]
    assert 0.0 <= low < figures["gIoU"] < high <= 0.9
    assert figures["cIoU_interval"][0] < figures["cIoU"] < figures["cIoU_interval"][1]
    assert figures["IoU_above_half"] == pytest.approx(1 / 3, abs=1e-5), "1 of 2 pixels is a little less than a half"
    assert figures["right_object"] == pytest.approx(2 / 3, abs=1e-6)
    assert figures["refused_present"] == pytest.approx(1 / 3, abs=1e-6)
    assert figures["target_accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    assert (figures["not_present"], figures["no_target_accuracy"], figures["median_milliseconds"]) == (0.5, 0.5, 10.0)
    assert (figures["no_mask"], figures["several_masks"], figures["failed"]) == (1, 1, 0)


def test_the_validation_of_the_reference_counts_absent_things_too():
    figures = summary(MIXED, scores_absent=True)
    assert figures["gIoU"] == pytest.approx((0.5 + 0.9 + 0 + 1 + 0) / 5, abs=1e-5)
    assert figures["cIoU"] == pytest.approx(10 / 29, abs=1e-6)


def test_groups_are_scored_apart():
    groups = summary(MIXED, scores_absent=True)["groups"]
    assert {name: part["requests"] for name, part in groups.items()} == {"long": 2, "short": 3}
    assert groups["long"]["gIoU"] == pytest.approx(0.45, abs=1e-5)
    assert groups["short"]["cIoU"] == pytest.approx(1 / 12, abs=1e-6)
    assert by([outcome(sort="")], lambda one: one.sort) == {}


def test_failures_are_counted():
    assert summary([outcome(verdict="failed", masks=0)], scores_absent=True)["failed"] == 1


def test_answers_without_words_name_nothing_right_or_wrong():
    silent = [outcome(right_object=False, words=""), outcome(right_object=False, words="")]
    assert summary(silent, scores_absent=True)["right_object"] is None
    assert per_kind(silent)["cup"]["right_object"] is None


def test_kinds_are_counted_apart_and_absent_things_not_at_all():
    outcomes = [
        outcome((1, 2)),
        outcome((0, 3), right_object=False),
        outcome((4, 4), kind="banana"),
        outcome((0, 0), target=False, kind="fork"),
    ]
    kinds = per_kind(outcomes)
    assert list(kinds) == ["banana", "cup"]
    assert [kinds["cup"][name] for name in ("requests", "right_object")] == [2, 0.5]
    assert kinds["cup"]["gIoU"] == pytest.approx(0.25, abs=1e-5)
    assert (kinds["banana"]["requests"], kinds["banana"]["right_object"]) == (1, 1.0)


@pytest.mark.parametrize("outcomes", [[], [outcome((0, 0), target=False)]])
def test_figures_without_a_value_are_valid_json(outcomes):
    figures = json.loads(json.dumps(summary(outcomes, scores_absent=False), allow_nan=False))
    assert figures["gIoU"] is figures["cIoU"] is figures["right_object"] is None and figures["present"] == 0
    assert figures["cIoU_interval"] == [None, None]
