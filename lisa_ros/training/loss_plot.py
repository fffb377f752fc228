"""The losses of a stage as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lisa_ros.training.metrics import Row, read_rows

WINDOWS = 50


def write_loss_plot(table: Path, picture: Path, losses: Sequence[str]) -> None:
    """Draw columns of a CSV table over its steps, each as it is and as a running mean, and the learning rate."""
    rows = read_rows(table)
    if not rows:
        return
    figure = Figure(figsize=(9, 6))
    curves, rates = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    steps = _column(rows, "step")
    for index, name in enumerate(losses):
        values, colour = _column(rows, name), f"C{index}"
        curves.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
        curves.plot(steps, _running_mean(values), color=colour, label=name)
    curves.set_yscale("log", nonpositive="mask")
    curves.set_ylabel("weighted loss")
    curves.legend()
    rates.plot(steps, _column(rows, "lr"), color="black")
    rates.set_ylabel("learning rate")
    rates.set_xlabel("step")
    rates.xaxis.get_major_locator().set_params(integer=True)
    part = picture.with_suffix(".part")
    figure.savefig(part, format="png", dpi=100)
    part.replace(picture)


def _column(rows: list[Row], name: str) -> NDArray[np.float64]:
    """Return the values of a column; NaN where a step had none."""
    return np.array([float(row.get(name) or "nan") for row in rows])


def _running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the values up to each one, over a window that grows with the run; NaN counts as absent."""
    width = max(1, len(values) // WINDOWS)
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - width, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums[ends] - sums[starts]) / (counts[ends] - counts[starts])
