"""Which samples a process sees at which step, whatever the number of processes that share the work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """One process's part of a run.

    A run is a row of micro-batches of ``batch_size`` running positions each. A step takes the next
    ``accumulation * processes`` of them and process ``rank`` every ``processes``-th of these, so a step sees the same
    micro-batches on two processes as on one that accumulates twice as many.
    """

    batch_size: int
    accumulation: int = 1
    processes: int = 1
    rank: int = 0

    @property
    def samples_per_step(self) -> int:
        """How many samples all processes together see in one step."""
        return self.batch_size * self.accumulation * self.processes

    def micro_batches(self, step: int) -> range:
        """Return the numbers, in the whole run, of this process's micro-batches of a step."""
        first = step * self.accumulation * self.processes
        return range(first + self.rank, first + self.accumulation * self.processes, self.processes)

    def positions(self, micro_batch: int) -> list[int]:
        """Return the running positions of the samples of a micro-batch."""
        return list(range(micro_batch * self.batch_size, (micro_batch + 1) * self.batch_size))
