"""Figures that others published, for the table beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

TABLES = Path(__file__).with_name("quoted.yaml")


@dataclass(frozen=True, slots=True)
class QuotedColumn:
    """Which figure a column gives: the split, the group of cases ("" for all) and "gIoU" or "cIoU"."""

    split: str
    group: str
    score: str


@dataclass(frozen=True, slots=True)
class QuotedTable:
    """A table of a paper: method -> figures in percent, one a column, None where the paper gives none."""

    source: str
    note: str
    columns: tuple[QuotedColumn, ...]
    rows: dict[str, tuple[float | None, ...]]


def quoted_table(benchmark: str) -> QuotedTable | None:
    """Return what the paper gives for a benchmark, None if it gives nothing."""
    entry = yaml.safe_load(TABLES.read_text(encoding="utf-8")).get(benchmark)
    if entry is None:
        return None
    columns = tuple(QuotedColumn(**column) for column in entry["columns"])
    rows = {method: tuple(figures) for method, figures in entry["rows"].items()}
    return QuotedTable(entry["source"], entry["note"], columns, rows)
