from __future__ import annotations

import pytest
from rclpy.qos import ReliabilityPolicy

from lisa_ros.node.qos import choose_reliability, newest_image, reliable

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


@pytest.mark.parametrize(
    ("setting", "offered", "current", "chosen"),
    [
        ("auto", [RELIABLE], BEST_EFFORT, RELIABLE),
        ("auto", [RELIABLE, RELIABLE], BEST_EFFORT, RELIABLE),
        ("auto", [RELIABLE, BEST_EFFORT], RELIABLE, BEST_EFFORT),
        ("auto", [BEST_EFFORT], RELIABLE, BEST_EFFORT),
        ("auto", [], RELIABLE, RELIABLE),
        ("auto", [], BEST_EFFORT, BEST_EFFORT),
        ("reliable", [BEST_EFFORT], BEST_EFFORT, RELIABLE),
        ("best_effort", [RELIABLE], RELIABLE, BEST_EFFORT),
    ],
)
def test_auto_matches_all_publishers_and_a_setting_is_obeyed(setting, offered, current, chosen):
    assert choose_reliability(setting, offered, current) == chosen


def test_profiles_are_fresh_because_overrides_change_them_in_place():
    first = reliable(10)
    first.depth = 1
    assert reliable(10).depth == 10
    assert newest_image(BEST_EFFORT).depth == 1
