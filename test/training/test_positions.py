from __future__ import annotations

import pytest

from lisa_ros.training.positions import Share


def seen(share, steps):
    """Step -> the micro-batches of a process, each as its positions."""
    return {step: [tuple(share.positions(number)) for number in share.micro_batches(step)] for step in range(steps)}


@pytest.mark.parametrize(("processes", "accumulation"), [(2, 3), (3, 2), (6, 1)])
def test_a_step_sees_the_same_micro_batches_on_any_number_of_processes(processes, accumulation):
    alone = Share(batch_size=2, accumulation=6)
    shares = [Share(2, accumulation, processes, rank) for rank in range(processes)]
    for step, expected in seen(alone, 3).items():
        assert sorted(batch for share in shares for batch in seen(share, 3)[step]) == expected
    assert {share.samples_per_step for share in shares} == {alone.samples_per_step} == {12}


def test_every_position_is_seen_once():
    batches = [batch for step in seen(Share(2, 3), 4).values() for batch in step]
    assert [position for batch in batches for position in batch] == list(range(24))
