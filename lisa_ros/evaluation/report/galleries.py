"""Galleries of a report: the worst, the best and some random answers as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

import numpy as np

from lisa_ros.datasets.images import read_rgb
from lisa_ros.evaluation.cases import Case
from lisa_ros.evaluation.outcomes import Outcome, decode_mask
from lisa_ros.evaluation.report.elements import element
from lisa_ros.evaluation.report.pictures import data_address, overlay

PICTURES = 8
"""How many pictures a gallery has at most."""


def galleries(outcomes: Sequence[Outcome], cases: Mapping[str, Case], seed: int) -> list[Element]:
    """Return one section a gallery."""
    chosen = chosen_outcomes(outcomes, seed)
    return [
        element(
            "section",
            element("h2", title),
            element("div", *(_card(outcome, cases[outcome.id]) for outcome in part), class_="gallery"),
        )
        for title, part in chosen.items()
        if part
    ]


def chosen_outcomes(outcomes: Sequence[Outcome], seed: int) -> dict[str, list[Outcome]]:
    """Choose by IoU among the cases with a target, worst first and best first, and at random among all by ``seed``.

    No case is among the worst and the best.
    """
    ranked = sorted((outcome for outcome in outcomes if outcome.has_target), key=lambda outcome: outcome.iou)
    worst = min(PICTURES, len(ranked) // 2)
    drawn = np.random.default_rng(seed).permutation(len(outcomes))[:PICTURES]
    return {
        "Worst": ranked[:worst],
        "Best": ranked[worst:][::-1][:PICTURES],
        "Drawn at random": [outcomes[index] for index in drawn],
    }


def _card(outcome: Outcome, case: Case) -> Element:
    picture = overlay(read_rgb(case.image_path), decode_mask(outcome.mask), case.truth())
    said = outcome.error or outcome.words
    facts = [f"IoU {100 * outcome.iou:.1f} %", outcome.verdict.replace("_", " "), outcome.kind, outcome.id]
    caption = element("figcaption", element("p", outcome.text, class_="request"))
    if said:
        caption.append(element("p", said))
    caption.append(element("p", " \u00b7 ".join(fact for fact in facts if fact), class_="facts"))
    image = element("img", src=data_address(picture), alt=f"answer and truth of {outcome.id}", loading="lazy")
    return element("figure", image, caption)
