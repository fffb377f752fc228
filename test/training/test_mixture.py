from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest
from torch.utils.data import DataLoader

from lisa_ros.answers import Turn
from lisa_ros.datasets.records import DatasetError, ItemError
from lisa_ros.training.mixture import DEFAULT_RATES, Mixture, Skip
from lisa_ros.training.samples import TrainingSample


class Numbers:
    """A source whose item is its number; items in ``broken`` cannot be used."""

    def __init__(self, name, count, broken=()):
        self.name, self.count, self.broken = name, count, set(broken)

    def __len__(self):
        return self.count

    def sample(self, index, rng):
        rng.random(3)
        if index in self.broken:
            raise ItemError(f"{self.name} {index} is broken.")
        turn = Turn(f"{self.name} {index}", str(rng.random()))
        empty = np.zeros((0, 2, 2), np.bool_)
        return TrainingSample(np.zeros((2, 2, 3), np.uint8), ((turn,),), empty, self.name)


def said(sample):
    return sample.conversations[0][0]


def test_groups_come_by_their_rates_and_their_sources_and_items_alike():
    names = {"semantic": ["a", "b"], "referring": ["c"], "vqa": ["d"], "reasoning": ["e"]}
    groups = {
        group: (DEFAULT_RATES[group], [Numbers(name, 4 if name == "a" else 50) for name in sources])
        for group, sources in names.items()
    }
    mixture = Mixture(groups, seed=1)
    drawn = [said(mixture[position]).request for position in range(4000)]
    sources = Counter(text.split()[0] for text in drawn)
    wanted = {"a": 4.5, "b": 4.5, "c": 3, "d": 3, "e": 1}
    assert all(abs(sources[name] - 250 * share) < 4 * (250 * share) ** 0.5 for name, share in wanted.items())
    items = Counter(text for text in drawn if text.startswith("a "))
    assert len(items) == 4 and max(items.values()) < 1.3 * min(items.values())


def test_a_sample_depends_on_seed_and_position_alone():
    def make(seed):
        return Mixture({"one": (2.0, [Numbers("a", 9)]), "two": (1.0, [Numbers("b", 9, broken=[1, 2])])}, seed)

    forwards = [make(3)[position] for position in range(40)]
    backwards = [make(3)[position] for position in reversed(range(40))][::-1]
    assert [said(sample) for sample in forwards] == [said(sample) for sample in backwards]
    assert [sample.skipped for sample in forwards] == [sample.skipped for sample in backwards]
    others = [make(4)[position] for position in range(40)]
    assert not any(said(sample) == said(other) for sample, other in zip(forwards, others, strict=True))
    assert len({said(sample).answer for sample in forwards}) == 40


def test_items_that_cannot_be_used_are_replaced_and_told_of():
    mixture = Mixture({"one": (1.0, [Numbers("a", 10, broken=range(5))])}, seed=0)
    samples = [mixture[position] for position in range(300)]
    assert {said(sample).request for sample in samples} == {f"a {index}" for index in range(5, 10)}
    skipped = Counter(skip for sample in samples for skip in sample.skipped)
    assert set(skipped) == {Skip("a", f"a {index} is broken.") for index in range(5)}
    assert 200 < skipped.total() < 400
    assert isinstance(samples[0], TrainingSample)


def test_skips_reach_the_main_process_from_worker_processes():
    mixture = Mixture({"one": (1.0, [Numbers("a", 10, broken=range(5))])}, seed=0)
    loader = DataLoader(mixture, batch_size=4, sampler=range(40), collate_fn=list, num_workers=2)
    found = [sample for batch in loader for sample in batch]
    alone = [mixture[position] for position in range(40)]
    assert [said(sample) for sample in found] == [said(sample) for sample in alone]
    assert [sample.skipped for sample in found] == [sample.skipped for sample in alone]
    assert any(sample.skipped for sample in found)


def test_a_mixture_can_be_sent_to_another_process():
    mixture = pickle.loads(pickle.dumps(Mixture({"one": (1.0, [Numbers("a", 10)])}, seed=0)))
    assert said(mixture[3]) == said(Mixture({"one": (1.0, [Numbers("a", 10)])}, seed=0)[3])


def test_a_mixture_of_nothing_but_faults_gives_up_with_one_sentence():
    groups = {"one": (1.0, [Numbers("a", 3, broken=range(3)), Numbers("b", 3, broken=range(3))])}
    message = r"^7 items in a row could not be used, of a, b; the last one: [ab] \d is broken\.$"
    with pytest.raises(DatasetError, match=message) as caught:
        Mixture(groups, seed=0, most_failures=7)[0]
    assert not isinstance(caught.value, ItemError)


def test_other_faults_are_not_hidden():
    class Faulty(Numbers):
        def sample(self, index, rng):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Mixture({"one": (1.0, [Faulty("a", 3)])}, seed=0)[0]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({}, "has no groups"),
        ({"vqa": (1.0, [])}, "'vqa' has no source"),
        ({"vqa": (0.0, [Numbers("a", 1)])}, "'vqa' has the rate 0.0; it must be above 0"),
        ({"vqa": (float("nan"), [Numbers("a", 1)])}, "'vqa' has the rate nan"),
        ({"vqa": (1.0, [Numbers("a", 0)])}, "source a has no items"),
    ],
)
def test_groups_that_cannot_be_drawn_from_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        Mixture(groups, seed=0)


def test_positions_before_the_first_are_refused():
    with pytest.raises(IndexError, match="-1; it must be 0 or more"):
        Mixture({"one": (1.0, [Numbers("a", 1)])}, seed=0)[-1]
