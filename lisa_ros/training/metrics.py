"""The figures of every step: a CSV for programs, TensorBoard for people."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from lisa_ros.training.settings import TrainingError

Row = dict[str, str]
Skip = tuple[str, str]
"""The source of a sample that could not be used, and why."""
SKIPPED = "skipped: "
"""How the columns that count skipped samples begin; their source follows."""


class CsvTable:
    """A CSV of rows that belong to steps; rows of steps that are run again after a resume are dropped first.

    Its columns are ``step`` and what the rows name; a row that names new ones adds them. Every row is on disk when
    ``add`` returns, whatever happens to the process.
    """

    def __init__(self, path: Path, first_step: int) -> None:
        self.path = path
        kept = [row for row in read_rows(path) if int(row["step"]) < first_step] if first_step else []
        self.columns = list(kept[0]) if kept else ["step"]
        self._begin(kept)

    def add(self, step: int, values: Mapping[str, object]) -> None:
        """Append a row; numbers are written so that they are read back exactly."""
        new = [name for name in values if name not in self.columns]
        if new:
            self.close()
            self.columns += new
            self._begin(read_rows(self.path))
        self.writer.writerow({"step": step, **values})
        self.file.flush()

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _begin(self, rows: list[Row]) -> None:
        """Write the table anew under a temporary name, rename it and go on behind its last row."""
        part = self.path.with_suffix(".csv.part")
        self.file = part.open("w", newline="", encoding="utf-8")
        self.writer = csv.DictWriter(self.file, self.columns, restval="")
        self.writer.writeheader()
        self.writer.writerows(rows)
        self.file.flush()
        part.replace(self.path)


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a table; none without one. A last row that was cut off by a kill is left out."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        text = file.read()
    whole_lines = text[: text.rfind("\n") + 1].splitlines()
    rows = list(csv.DictReader(whole_lines))
    if rows and not all((row.get("step") or "").isdigit() for row in rows):
        raise TrainingError(f"{path} is not a table of training steps; move it away or name another output.")
    return rows


class Metrics:
    """Writes the figures of a stage into ``FOLDER/NAME.csv`` and ``FOLDER/tensorboard/NAME``.

    Samples that were skipped are counted there by source, and listed in ``FOLDER/NAME_skipped.csv`` with the cause.
    """

    def __init__(self, folder: Path, name: str, first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.table = CsvTable(folder / f"{name}.csv", first_step)
        self.skipped = CsvTable(folder / f"{name}_skipped.csv", first_step)
        self.board = SummaryWriter(str(folder / "tensorboard" / name), purge_step=first_step)

    def add(self, step: int, figures: Mapping[str, float], skipped: Sequence[Skip]) -> None:
        """Write the figures of one step and the samples that were skipped on the way to it."""
        counts = Counter(source for source, _ in skipped)
        figures = {**figures, **{f"{SKIPPED}{source}": count for source, count in sorted(counts.items())}}
        self.table.add(step, figures)
        for source, cause in skipped:
            self.skipped.add(step, {"source": source, "cause": cause})
        for name, value in figures.items():
            self.board.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left and close the files."""
        self.table.close()
        self.skipped.close()
        self.board.close()


def left_out(folder: Path, name: str) -> list[str]:
    """Return one sentence for each sort of thing that a stage could not learn from, with its number."""
    rows, listed = read_rows(folder / f"{name}.csv"), folder / f"{name}_skipped.csv"
    skipped = len(read_rows(listed))
    cut = {sort: sum(int(row.get(sort) or 0) for row in rows) for sort in ("cut_conversations", "cut_masks")}
    sentences = [f"{skipped} samples could not be used; {listed} says why."] if skipped else []
    if any(cut.values()):
        sentences.append(
            f"{cut['cut_conversations']} conversations were longer than max_length and cut, "
            f"{cut['cut_masks']} masks with them."
        )
    return sentences
