from __future__ import annotations

import math

import numpy as np
import pytest

from lisa_ros.evaluation.metrics import (
    bootstrap_interval,
    c_iou,
    g_iou,
    intersection_and_union,
    intersection_over_union,
)


def test_pixels_of_both_and_of_either_are_counted_and_ignored_ones_left_out():
    mask = np.array([[True, True, False, False, True, False]])
    truth = np.array([[1, 0, 1, 0, 255, 255]], np.uint8)
    assert intersection_and_union(mask, truth) == (1, 3)
    assert intersection_and_union(mask, truth == 1) == (1, 4)


def test_two_empty_masks_agree_and_one_empty_mask_does_not():
    empty, some = np.zeros((2, 2), bool), np.ones((2, 2), bool)
    assert intersection_over_union(*intersection_and_union(empty, empty)) == 1.0
    assert intersection_over_union(*intersection_and_union(empty, some)) == 0.0
    ignored = np.full((2, 2), 255, np.uint8)
    assert intersection_over_union(*intersection_and_union(some, ignored)) == 1.0


def test_giou_is_the_mean_of_ratios_and_ciou_the_ratio_of_sums():
    counts = [(1, 2), (9, 10), (0, 0)]
    assert g_iou(counts) == pytest.approx((0.5 + 0.9 + 1.0) / 3, abs=1e-5)
    assert c_iou(counts) == pytest.approx(10 / 12)
    assert math.isnan(g_iou([]))


def test_the_bootstrap_interval_is_repeatable_surrounds_the_score_and_narrows():
    rng = np.random.default_rng(0)
    counts = [(int(value), 100) for value in rng.integers(0, 101, 400)]
    low, high = bootstrap_interval(counts, g_iou, rounds=200)
    assert (low, high) == bootstrap_interval(counts, g_iou, rounds=200)
    assert low < g_iou(counts) < high
    few_low, few_high = bootstrap_interval(counts[:25], g_iou, rounds=200)
    assert few_high - few_low > 2 * (high - low)
    assert bootstrap_interval([(5, 10)] * 9, c_iou, rounds=20) == pytest.approx((0.5, 0.5))
    assert all(math.isnan(value) for value in bootstrap_interval([], g_iou))


def test_resampling_many_cases_at_once_is_what_one_case_after_another_gives(monkeypatch):
    rng = np.random.default_rng(3)
    counts = np.stack([rng.integers(0, 50, 40), rng.integers(50, 90, 40)], axis=-1)
    counts[::7] = 0
    drawn = np.random.default_rng(0).integers(len(counts), size=(60, len(counts)))
    for score in (g_iou, c_iou):
        one_by_one = np.quantile([score([tuple(counts[i]) for i in row]) for row in drawn], [0.025, 0.975])
        assert bootstrap_interval(counts, score, rounds=60) == pytest.approx(one_by_one, abs=1e-12)
        with monkeypatch.context() as patch:
            patch.setattr("lisa_ros.evaluation.metrics.DRAWN_AT_ONCE", 7 * len(counts))
            assert bootstrap_interval(counts, score, rounds=60) == pytest.approx(one_by_one, abs=1e-12)


def test_no_case_has_no_score():
    assert math.isnan(c_iou([])) and all(math.isnan(value) for value in bootstrap_interval([], c_iou))
    assert (g_iou([(0, 0)]), c_iou([(0, 0)])) == (1.0, 0.0)
