"""The whole report as one HTML file: no script, no other file, readable on a phone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from lisa_ros.evaluation.answering import Answered
from lisa_ros.evaluation.cases import Benchmark
from lisa_ros.evaluation.outcomes import Run
from lisa_ros.evaluation.report import tables
from lisa_ros.evaluation.report.elements import element, written
from lisa_ros.evaluation.report.galleries import galleries
from lisa_ros.evaluation.report.quoted import quoted_table
from lisa_ros.evaluation.summary import Figures, by, per_kind

TITLES = {"reasonseg": "ReasonSeg", "refcoco": "Referring expressions", "tabletop": "Tabletop"}
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 75rem; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.25rem; margin-top: 2.5rem; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; }
caption { text-align: left; padding: .3rem 0; font-weight: 600; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #8886; text-align: left; vertical-align: top; }
.figures td, .figures thead th { white-space: nowrap; font-variant-numeric: tabular-nums; }
.quoted caption { color: #b3470b; } .quoted em { color: #b3470b; }
.gallery { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); }
figure { margin: 0; border: 1px solid #8886; border-radius: .5rem; overflow: hidden; }
figure img { display: block; width: 100%; }
figcaption { padding: .3rem .8rem .8rem; } figcaption p { margin: .4rem 0 0; overflow-wrap: anywhere; }
.request { font-weight: 600; } .facts { font-size: .85rem; opacity: .75; }
.key b { padding: 0 .4rem; border-radius: .2rem; color: #000; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; }
"""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A run that is over, with all that its report shows.

    ``others`` are the figures of other runs for the tables, ``result`` is the JSON line of the run and ``command``
    what made it.
    """

    benchmark: Benchmark
    run: Run
    figures: Figures
    answered: Answered
    others: Sequence[tuple[Run, Figures]]
    result: Figures
    command: str


def report_page(evaluation: Evaluation) -> str:
    """Return the report; raises ``ItemError`` when a picture of it can no longer be read."""
    run = evaluation.run
    title = f"{TITLES[run.benchmark]} {run.split}: {run.model}, {run.mode}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", STYLE),
    )
    body = element("body", element("h1", title), *_figures(evaluation), *_pictures(evaluation), *_parts(evaluation))
    for part in (*_skipped(evaluation), *_origin(evaluation)):
        body.append(part)
    return written(element("html", head, body, lang="en"))


def _figures(evaluation: Evaluation) -> list[Element]:
    measured = [(evaluation.run, evaluation.figures), *evaluation.others]
    found = [element("h2", "Figures"), tables.figures_table(measured), _list(evaluation.benchmark.notes)]
    if any(figures["absent"] for _, figures in measured):
        found.append(tables.presence_table(measured))
    quoted = quoted_table(evaluation.run.benchmark)
    if quoted is not None:
        found += [element("h2", "Beside the paper"), tables.paper_table(quoted, measured), element("p", quoted.note)]
    return found


def _parts(evaluation: Evaluation) -> list[Element]:
    outcomes = evaluation.answered.outcomes
    kinds = per_kind(outcomes)
    sorts = by((outcome for outcome in outcomes if outcome.has_target), lambda outcome: outcome.sort)
    found = []
    if kinds:
        found += [element("h2", "By kind"), tables.parts_table("Kinds that were there", "kind", kinds)]
    if sorts:
        found += [element("h2", "By wording"), tables.parts_table("Wordings for what was there", "sort", sorts)]
    return found


def _pictures(evaluation: Evaluation) -> list[Element]:
    sections = galleries(evaluation.answered.outcomes, evaluation.answered.cases, evaluation.run.seed)
    key = element(
        "p",
        element("b", "filled", style="background: rgb(255, 96, 32)"),
        " the answer, ",
        element("b", "outlined", style="background: rgb(60, 230, 120)"),
        " the truth, ",
        element("b", "grey", style="background: rgb(160, 160, 160)"),
        " ignored by the scores.",
        class_="key",
    )
    return [key, *sections] if sections else []


def _skipped(evaluation: Evaluation) -> list[Element]:
    skipped = evaluation.answered.skipped
    heading = element("h2", f"Skipped: {len(skipped)}")
    if not skipped:
        return [heading, element("p", "Every item of the data set was used.")]
    return [heading, tables.skipped_table(skipped)]


def _origin(evaluation: Evaluation) -> list[Element]:
    result = element(
        "details", element("summary", "The figures as JSON"), element("pre", json.dumps(evaluation.result))
    )
    return [element("h2", "How this was made"), element("pre", evaluation.command), result]


def _list(sentences: Sequence[str]) -> Element:
    return element("ul", *(element("li", sentence) for sentence in sentences))
