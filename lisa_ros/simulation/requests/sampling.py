"""Draw requests for one scene: about what is in view, about kinds that are not, and about things outside all kinds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import count as counting
from typing import TypeVar

import numpy as np

from lisa_ros.simulation.requests.bank import Bank, Kind, Meaning, Wording, load_bank
from lisa_ros.simulation.requests.replies import OUT_OF_DOMAIN_ANSWER, absent_answer, present_answer
from lisa_ros.simulation.requests.templates import (
    HELD_OUT_TEMPLATES,
    SENTENCE_SUFFIXES,
    TRAINING_TEMPLATES,
    Template,
    add_typing_noise,
    fill,
)

Item = TypeVar("Item")


class RequestSplit(str, Enum):
    """Which wordings and templates a request may use."""

    TRAIN = "train"
    """Training wordings in training templates."""
    NEW_TEMPLATES = "new_templates"
    """Training phrases in held-out templates."""
    NEW_MEANINGS = "new_meanings"
    """Held-out phrases in training templates, and held-out whole requests."""


class RequestType(str, Enum):
    """How a request relates to the scene."""

    PRESENT = "present"
    ABSENT = "absent"
    OUT_OF_DOMAIN = "out_of_domain"


@dataclass(frozen=True, slots=True)
class Shares:
    """Probabilities of the request types; what remains to 1 asks for something that is in view."""

    absent: float = 0.13
    out_of_domain: float = 0.07

    def __post_init__(self) -> None:
        if min(self.absent, self.out_of_domain) < 0 or self.absent + self.out_of_domain > 1:
            raise ValueError(f"The shares {self} must not be negative and must sum to at most 1.")


DEFAULT_SHARES = Shares()


@dataclass(frozen=True, slots=True)
class TabletopRequest:
    """One request about a scene with its true answer.

    ``target_ids`` are the instances whose union is the true mask, empty unless the type is ``PRESENT``. ``kind`` is the
    identifier and ``label`` the spoken name of what is asked for; both and ``sort`` are empty out of domain. ``[SEG]``
    and ``[REJ]`` in ``answer`` stand for one token each.
    """

    text: str
    answer: str
    kind: str
    target_ids: tuple[int, ...]
    sort: str
    request_type: RequestType
    label: str


def sample_requests(
    visible_kinds: Mapping[str, Sequence[int]],
    rng: np.random.Generator,
    count: int,
    split: RequestSplit,
    shares: Shares = DEFAULT_SHARES,
    hardly_visible: Collection[str] = (),
    typing_noise: float = 0.0,
) -> list[TabletopRequest]:
    """Draw ``count`` requests about a scene in which ``visible_kinds`` (kind -> instance ids) can be seen.

    All instances of a kind are the target of a request for it. Kinds in ``hardly_visible`` are neither asked for nor
    called absent, and no request is drawn that they would satisfy. Targets take turns, so that the requests spread
    evenly over the kinds in view. A share of ``typing_noise`` of the texts gets a typing slip. The same arguments and
    state of ``rng`` give the same requests. Raises ``ValueError`` for an unknown kind.
    """
    scene = _Scene.of(visible_kinds, hardly_visible, split)
    present, absent = _turns(scene.present_kinds(), rng), _turns(scene.absent_kinds(), rng)
    requests = []
    for request_type in _draw_types(scene, rng, count, shares):
        if request_type is RequestType.PRESENT:
            requests.append(scene.ask_present(next(present), rng, typing_noise))
        elif request_type is RequestType.ABSENT:
            requests.append(scene.ask_absent(next(absent), rng, typing_noise))
        else:
            requests.append(scene.ask_out_of_domain(rng, typing_noise))
    return requests


def all_wordings(split: RequestSplit, bank: Bank | None = None) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Yield ``(text, kind, also)`` for every wording of ``split`` once, for work on text alone.

    Phrases come bare, except that ``NEW_TEMPLATES`` puts each into one held-out template, by turns.
    """
    turn = counting()
    for kind in (bank or load_bank()).kinds.values():
        for meaning in kind.meanings:
            for wording in _choices(meaning.training, meaning.held_out, split):
                text = wording.text
                if split is RequestSplit.NEW_TEMPLATES:
                    templates = _templates(split, kind.carried)
                    text = fill(templates[next(turn) % len(templates)], wording)
                yield text, kind.identifier, meaning.also


@dataclass(frozen=True, slots=True)
class _Scene:
    """What can be asked about one scene in one split."""

    bank: Bank
    visible: Mapping[str, tuple[int, ...]]
    in_view: frozenset[str]
    split: RequestSplit

    @classmethod
    def of(
        cls, visible_kinds: Mapping[str, Sequence[int]], hardly_visible: Collection[str], split: RequestSplit
    ) -> _Scene:
        bank = load_bank()
        unknown = (set(visible_kinds) | set(hardly_visible)) - set(bank.kinds)
        if unknown:
            raise ValueError(f"There is no kind {sorted(unknown)[0]!r}; the bank has {', '.join(sorted(bank.kinds))}.")
        visible = {
            kind: tuple(ids) for kind, ids in sorted(visible_kinds.items()) if ids and kind not in hardly_visible
        }
        return cls(bank, visible, frozenset(visible) | frozenset(hardly_visible), split)

    def present_kinds(self) -> list[str]:
        """Kinds in view with at least one wording that no other kind in view satisfies."""
        return [name for name in self.visible if self.meanings(self.bank.kinds[name])]

    def absent_kinds(self) -> list[str]:
        """Kinds neither in view nor hardly visible, with at least one wording that nothing in view satisfies."""
        return [name for name in self.bank.kinds if name not in self.in_view and self.meanings(self.bank.kinds[name])]

    def meanings(self, kind: Kind) -> list[Meaning]:
        """Meanings of ``kind`` that no other kind in view satisfies, with a wording in this split."""
        free = [meaning for meaning in kind.meanings if not meaning.also & self.in_view]
        return [meaning for meaning in free if _choices(meaning.training, meaning.held_out, self.split)]

    def ask_present(self, name: str, rng: np.random.Generator, typing_noise: float) -> TabletopRequest:
        kind, ids = self.bank.kinds[name], self.visible[name]
        meaning = _pick(self.meanings(kind), rng)
        several = len(ids) > 1
        choices = _choices(meaning.training, meaning.held_out, self.split)
        fitting = [wording for wording in choices if several or not wording.several]
        text = self._say(_pick(fitting or choices, rng), kind.carried, rng, typing_noise)
        answer = present_answer(kind, meaning, several)
        return TabletopRequest(text, answer, name, ids, meaning.sort, RequestType.PRESENT, kind.name)

    def ask_absent(self, name: str, rng: np.random.Generator, typing_noise: float) -> TabletopRequest:
        kind = self.bank.kinds[name]
        meaning = _pick(self.meanings(kind), rng)
        choices = _choices(meaning.training, meaning.held_out, self.split)
        text = self._say(_pick(choices, rng), kind.carried, rng, typing_noise)
        return TabletopRequest(text, absent_answer(kind), name, (), meaning.sort, RequestType.ABSENT, kind.name)

    def ask_out_of_domain(self, rng: np.random.Generator, typing_noise: float) -> TabletopRequest:
        wording = _pick(_choices(self.bank.absent_training, self.bank.absent_held_out, self.split), rng)
        text = self._say(wording, True, rng, typing_noise)
        return TabletopRequest(text, OUT_OF_DOMAIN_ANSWER, "", (), "", RequestType.OUT_OF_DOMAIN, "")

    def _say(self, wording: Wording, carried: bool, rng: np.random.Generator, typing_noise: float) -> str:
        if wording.whole:
            text = wording.text + _pick(SENTENCE_SUFFIXES, rng)
        else:
            text = fill(_pick(_templates(self.split, carried), rng), wording)
        return add_typing_noise(text, rng) if rng.random() < typing_noise else text


def _choices(training: Sequence[Wording], held_out: Sequence[Wording], split: RequestSplit) -> tuple[Wording, ...]:
    if split is RequestSplit.NEW_TEMPLATES:
        return tuple(wording for wording in training if not wording.whole)
    return tuple(held_out if split is RequestSplit.NEW_MEANINGS else training)


def _templates(split: RequestSplit, carried: bool) -> list[Template]:
    templates = HELD_OUT_TEMPLATES if split is RequestSplit.NEW_TEMPLATES else TRAINING_TEMPLATES
    return [template for template in templates if carried or not template.fetch]


def _draw_types(scene: _Scene, rng: np.random.Generator, count: int, shares: Shares) -> list[RequestType]:
    """Draw the types; where nothing is in view, or nothing is absent, another type takes the place."""
    any_present, any_absent = bool(scene.present_kinds()), bool(scene.absent_kinds())
    types = []
    for draw in rng.random(count):
        if draw < shares.out_of_domain:
            types.append(RequestType.OUT_OF_DOMAIN)
        elif any_absent and (draw < shares.out_of_domain + shares.absent or not any_present):
            types.append(RequestType.ABSENT)
        else:
            types.append(RequestType.PRESENT if any_present else RequestType.OUT_OF_DOMAIN)
    return types


def _turns(names: Collection[str], rng: np.random.Generator) -> Iterator[str]:
    """Yield names without end, in a new random order each round."""
    order = sorted(names)
    while order:
        rng.shuffle(order)
        yield from list(order)


def _pick(items: Sequence[Item], rng: np.random.Generator) -> Item:
    return items[int(rng.integers(len(items)))]
