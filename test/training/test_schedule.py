from __future__ import annotations

import pytest

from lisa_ros.training.schedule import cosine_decay, linear_decay


def test_the_rate_warms_up_and_falls_to_nothing_in_a_line():
    rates = [linear_decay(step, 100, 5000) for step in range(5001)]
    assert rates[0] == 0.01 and rates[49] == 0.5 and max(rates) == rates[99] == rates[100] == 1.0
    assert rates[2550] == pytest.approx(0.5) and rates[4999] == pytest.approx(1 / 4900) and rates[5000] == 0.0


def test_a_run_shorter_than_its_warm_up_has_no_rate_above_the_peak():
    assert [linear_decay(step, 10, 4) for step in range(4)] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert linear_decay(0, 0, 1) == 1.0


def test_the_cosine_keeps_a_floor():
    assert cosine_decay(0, 1, 100) == 1.0 and cosine_decay(50, 1, 100) == pytest.approx(0.5)
    assert cosine_decay(100, 1, 100) == 0.02 and cosine_decay(0, 4, 100) == 0.25
