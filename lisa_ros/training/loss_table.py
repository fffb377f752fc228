"""The losses of a stage as a CSV file."""

from __future__ import annotations

import csv
import time
from pathlib import Path


class LossTable:
    """A CSV with one row a step; rows of steps that are run again after a resume are dropped first."""

    def __init__(self, path: Path, first_step: int) -> None:
        self.path, self.first_step = path, first_step
        self.columns = ("step", "seconds", "ce", "bce", "dice", "iou", "prompt", "dense", "presence")

    def __enter__(self) -> LossTable:
        kept = []
        if self.path.is_file() and self.first_step:
            with self.path.open(newline="") as file:
                kept = [row for row in csv.DictReader(file) if int(row["step"]) < self.first_step]
        self.file = self.path.open("w", newline="")
        self.writer = csv.DictWriter(self.file, self.columns, restval="")
        self.writer.writeheader()
        self.writer.writerows(kept)
        self.started = time.monotonic()
        return self

    def add(self, step: int, losses: dict[str, float]) -> None:
        """Append the row of one step."""
        row = {"step": step, "seconds": round(time.monotonic() - self.started, 2)}
        self.writer.writerow(row | {key: round(value, 5) for key, value in losses.items()})
        self.file.flush()

    def __exit__(self, *_: object) -> None:
        self.file.close()
