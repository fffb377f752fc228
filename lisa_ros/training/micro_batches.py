"""Micro-batches as the loop gets them: the tensors, and what has to be said of the samples in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch.utils.data import DataLoader, Dataset, Sampler

from lisa_ros.datasets.records import DatasetError
from lisa_ros.training.positions import Share
from lisa_ros.training.settings import TrainingError


@dataclass(slots=True)
class MicroBatch:
    """What a process computes in one go: ``batch`` goes to the objective; ``sources`` name the samples for messages.

    ``skipped`` are the sources and causes of what could not be used on the way to these samples, ``counts`` by name
    what else has to be reported. With an ``error``, a sentence, there is no batch.
    """

    batch: Any = None
    sources: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    counts: Counter[str] = field(default_factory=Counter)
    error: str = ""


class Samples(Protocol):
    """Samples by running position, without an end: a pure function of the position, so that a run can be resumed."""

    def micro_batch(self, positions: Sequence[int]) -> MicroBatch:
        """Return the samples at these positions; raises ``DatasetError`` or ``ValueError`` with one sentence."""
        ...


class MicroBatches(Dataset[MicroBatch]):
    """The micro-batches of a run by number; errors travel in them, because a worker cannot raise in one sentence."""

    def __init__(self, samples: Samples, share: Share) -> None:
        self.samples, self.share = samples, share

    def __getitem__(self, number: int) -> MicroBatch:
        """Return one micro-batch."""
        try:
            return self.samples.micro_batch(self.share.positions(number))
        except (DatasetError, ValueError) as error:
            return MicroBatch(error=str(error))


class _SharedNumbers(Sampler[int]):
    def __init__(self, share: Share, steps: range) -> None:
        self.share, self.steps = share, steps

    def __iter__(self) -> Iterator[int]:
        return (number for step in self.steps for number in self.share.micro_batches(step))

    def __len__(self) -> int:
        return len(self.steps) * self.share.accumulation


def load(samples: Samples, share: Share, steps: range, workers: int) -> Iterator[MicroBatch]:
    """Yield this process's micro-batches of ``steps`` in their order, made by ``workers`` processes beside it.

    Raises ``TrainingError`` where one could not be made.
    """
    loader = DataLoader(
        MicroBatches(samples, share),
        batch_size=None,
        sampler=_SharedNumbers(share, steps),
        num_workers=workers,
    )
    for micro_batch in loader:
        if micro_batch.error:
            raise TrainingError(micro_batch.error)
        yield micro_batch
