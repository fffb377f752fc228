"""All sources in one endless row of samples, each kind as often as its rate says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset

from lisa_ros.datasets.records import DatasetError, ItemError
from lisa_ros.training.samples import TrainingSample
from lisa_ros.training.sources import SampleSource
from lisa_ros.training.templates import pick

DEFAULT_RATES = {"semantic": 9.0, "referring": 3.0, "vqa": 3.0, "reasoning": 1.0}
"""How often each kind of data set is drawn from, in the paper's recipe."""
MOST_FAILURES = 100


@dataclass(frozen=True, slots=True)
class Skip:
    """An item that was drawn and could not be used: the name of its source, and why in a sentence."""

    source: str
    cause: str


@dataclass(frozen=True, slots=True)
class DrawnSample(TrainingSample):
    """A sample with the items that were ``skipped`` on the way to it.

    They travel with the sample because worker processes draw it; whoever gets the samples of a run counts them.
    """

    skipped: tuple[Skip, ...] = ()


class Mixture(Dataset[DrawnSample]):
    """Samples by running position, without an end.

    ``groups`` maps the name of a group to its rate and its sources. For every position a group is drawn by its rate,
    one of its sources and one of that source's items, each as likely as the others (the reference's mixture). The
    sample is a pure function of ``seed`` and position, so a run that was interrupted can go on exactly. An item that
    cannot be used is skipped for another draw; after ``most_failures`` in a row it gives up with ``DatasetError``.
    """

    def __init__(
        self,
        groups: Mapping[str, tuple[float, Sequence[SampleSource]]],
        seed: int,
        *,
        most_failures: int = MOST_FAILURES,
    ) -> None:
        """Raises ``ValueError`` for a group without a source or a rate above 0, and for a source without an item."""
        if not groups:
            raise ValueError("The mixture has no groups; it needs at least one with a source.")
        for name, (rate, sources) in groups.items():
            _check_group(name, rate, sources)
        rates = np.array([rate for rate, _ in groups.values()], np.float64)
        self.groups = dict(groups)
        self.seed, self.most_failures = seed, most_failures
        self._sources = [tuple(sources) for _, sources in groups.values()]
        self._shares = rates / rates.sum()

    def __getitem__(self, position: int) -> DrawnSample:
        """Return the sample of a position from 0 on; raises ``DatasetError`` when no item can be used."""
        if position < 0:
            raise IndexError(f"The position is {position}; it must be 0 or more.")
        skipped: list[Skip] = []
        while len(skipped) < self.most_failures:
            # Every draw has its own generator: how far a failed one got does not matter to the next.
            rng = np.random.default_rng([self.seed, position, len(skipped)])
            source = self._draw_source(rng)
            try:
                sample = source.sample(int(rng.integers(len(source))), rng)
            except ItemError as error:
                skipped.append(Skip(source.name, str(error)))
                continue
            return DrawnSample(sample.rgb, sample.conversations, sample.masks, sample.source, tuple(skipped))
        raise DatasetError(
            f"{self.most_failures} items in a row could not be used, of {_named(skipped)}; the last one: "
            f"{skipped[-1].cause}"
        )

    def _draw_source(self, rng: np.random.Generator) -> SampleSource:
        return pick(self._sources[int(rng.choice(len(self._shares), p=self._shares))], rng)


def _check_group(name: str, rate: float, sources: Sequence[SampleSource]) -> None:
    if not sources:
        raise ValueError(f"The group {name!r} has no source; give it one or leave it out.")
    if not (rate > 0 and np.isfinite(rate)):
        raise ValueError(f"The group {name!r} has the rate {rate}; it must be above 0, or leave its sources out.")
    for source in sources:
        if not len(source):
            raise ValueError(f"The source {source.name} has no items; leave it out or fill its folder.")


def _named(skipped: Sequence[Skip]) -> str:
    return ", ".join(sorted({skip.source for skip in skipped}))
