"""The tables of a report; figures are in percent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from xml.etree.ElementTree import Element

from lisa_ros.evaluation.cases import Skip
from lisa_ros.evaluation.outcomes import Run
from lisa_ros.evaluation.report.elements import Cell, element, table
from lisa_ros.evaluation.report.quoted import QuotedColumn, QuotedTable
from lisa_ros.evaluation.summary import Figures

NOTHING = "\N{EN DASH}"
MEASURED, QUOTED = "measured", "quoted"
FEWEST_FOR_INTERVAL = 10
"""Resampling fewer cases says nothing about others."""


def figures_table(measured: Sequence[tuple[Run, Figures]]) -> Element:
    """Return the figures of every run, over all cases and by group."""
    head = ["model", "mode", "cases", "requests", "gIoU", "cIoU", "IoU \N{GREATER-THAN OR EQUAL TO} 0.5"]
    head += ["no mask", "several masks", "failed", "median ms"]
    rows: list[Sequence[Cell]] = []
    for run, figures in measured:
        counted = [str(figures[name]) for name in ("no_mask", "several_masks", "failed")]
        row = [run.model, run.mode, "overall", str(figures["requests"]), *_scores(figures), *counted]
        rows.append([*row, _number(figures["median_milliseconds"])])
        groups = figures["groups"] if len(figures["groups"]) > 1 else {}
        for group, part in groups.items():
            filler = [NOTHING] * (len(counted) + 1)
            rows.append([run.model, run.mode, group, str(part["requests"]), *_scores(part), *filler])
    return table("gIoU and cIoU in percent with 95 % bootstrap intervals", head, rows)


def presence_table(measured: Sequence[tuple[Run, Figures]]) -> Element:
    """Return how every run tells what is there from what is not."""
    head = ["model", "mode", "with target", "a mask is given", "right object named", "without target"]
    head += ["no pixel is given", "verdict: not present"]
    rows = [
        [
            run.model,
            run.mode,
            str(figures["present"]),
            _percent(figures["target_accuracy"]),
            _percent(figures["right_object"]),
            str(figures["absent"]),
            _percent(figures["no_target_accuracy"]),
            _percent(figures["not_present"]),
        ]
        for run, figures in measured
    ]
    return table("Presence and absence, in percent of the requests", head, rows)


def parts_table(caption: str, what: str, parts: Mapping[str, Figures]) -> Element:
    """Return the scores of parts of a run, such as kinds; the right name only where it is known."""
    named = any(part.get("right_object") is not None for part in parts.values())
    head = [what, "requests", "gIoU", "cIoU", "IoU \N{GREATER-THAN OR EQUAL TO} 0.5"]
    rows: list[Sequence[Cell]] = [
        [name, str(part["requests"]), *_scores(part), *([_percent(part["right_object"])] if named else [])]
        for name, part in parts.items()
    ]
    return table(caption, [*head, "right object named"] if named else head, rows)


def paper_table(quoted: QuotedTable, measured: Sequence[tuple[Run, Figures]]) -> Element:
    """Return a paper's table with the runs of this report below it, every row marked as the one or the other."""
    head = ["method", "where from", *(_column_name(column) for column in quoted.columns)]
    rows: list[Sequence[Cell]] = [
        [method, element("em", QUOTED), *(NOTHING if value is None else f"{value:.1f}" for value in values)]
        for method, values in quoted.rows.items()
    ]
    for run, figures in measured:
        ours = [_measured(column, run, figures) for column in quoted.columns]
        origin = f"{MEASURED} on the {figures['requests']} cases of {run.data}"
        rows.append([f"{run.model} ({run.mode})", element("strong", origin), *ours])
    caption = f"QUOTED from {quoted.source}, and not measured here, except in the rows marked \u201c{MEASURED}\u201d"
    return table(caption, head, rows, class_="figures quoted")


def skipped_table(skipped: Iterable[Skip]) -> Element:
    """Return what could not be used, and why."""
    return table("Items that could not be used", ["item", "reason"], [[skip.id, skip.reason] for skip in skipped], "")


def _column_name(column: QuotedColumn) -> str:
    return " ".join(part for part in (column.split, column.group, column.score) if part)


def _measured(column: QuotedColumn, run: Run, figures: Figures) -> str:
    if column.split != run.split:
        return NOTHING
    part = figures["groups"].get(column.group) if column.group else figures
    return NOTHING if part is None or part[column.score] is None else f"{100 * part[column.score]:.1f}"


def _scores(figures: Figures) -> list[Cell]:
    return [_with_interval(figures, "gIoU"), _with_interval(figures, "cIoU"), _percent(figures["IoU_above_half"])]


def _with_interval(figures: Figures, score: str) -> Cell:
    low, high = figures[f"{score}_interval"]
    if figures[score] is None or figures["requests"] < FEWEST_FOR_INTERVAL:
        return _percent(figures[score])
    return (_percent(figures[score]), " ", element("small", f"[{_percent(low)}, {_percent(high)}]"))


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.2f}"


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0f}"
