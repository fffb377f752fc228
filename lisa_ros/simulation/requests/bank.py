"""The bank of wordings: for each kind of object, what people call it and what they ask when they mean it.

One YAML file a kind in ``bank/``, named after the kind, and ``bank/_absent.yaml`` for things outside all kinds. A file
is checked when it is read; a ``BankError`` quotes the file, the value and what would be valid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

BANK_FOLDER = Path(__file__).parent / "bank"
ABSENT_FILE = "_absent.yaml"
SORTS = ("affordance", "property", "situation", "world_knowledge", "part", "appearance", "negation", "name")
MAX_REASON_WORDS = 12

KIND_KEYS = ("name", "plural", "synonyms", "meanings", "plural_word", "carried")
MEANING_KEYS = ("sort", "because", "because_plural", "also", "phrases", "sentences", "held_out")
WORDING_KEYS = ("phrases", "sentences")
NUMBERS = ("one", "plural", "several")
"""Grammatical number of a phrase: singular (the default), plural, or plural and meant for several objects."""


class BankError(ValueError):
    """A file of the bank cannot be used; the message names the file, the value and what would be valid."""


@dataclass(frozen=True, slots=True)
class Wording:
    """One way to ask: a noun phrase that fits into a template, or a whole request.

    ``plural`` marks a phrase that takes a plural verb ("the scissors"), so that templates agree with it; ``several``
    one that asks for more than one object ("the cups").
    """

    text: str
    whole: bool = False
    plural: bool = False
    several: bool = False


@dataclass(frozen=True, slots=True)
class Meaning:
    """Wordings that share one reason; ``also`` names the other kinds that would honestly satisfy them."""

    sort: str
    because: str
    because_plural: str
    also: frozenset[str]
    training: tuple[Wording, ...]
    held_out: tuple[Wording, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object: its spoken name, its plural and everything people may mean by asking for it.

    ``plural_word`` holds for words such as scissors, plural even for one object. ``carried`` is false for what nobody
    asks a robot to hand over.
    """

    identifier: str
    name: str
    plural: str
    synonyms: tuple[str, ...]
    plural_word: bool
    carried: bool
    meanings: tuple[Meaning, ...]

    def opening(self, several: bool) -> str:
        """Return how an answer about one object or several of them starts, without a full stop."""
        if self.plural_word:
            return f"These are the {self.name}"
        return f"They are the {self.plural}" if several else f"It is the {self.name}"


@dataclass(frozen=True, slots=True)
class Bank:
    """All kinds by identifier, and wordings for things outside all kinds."""

    kinds: Mapping[str, Kind]
    absent_training: tuple[Wording, ...]
    absent_held_out: tuple[Wording, ...]


@cache
def load_bank(folder: Path = BANK_FOLDER) -> Bank:
    """Read and check the bank in ``folder`` once; later calls return the same object.

    Raises ``BankError`` when a file is missing, malformed or contradicts another one.
    """
    paths = sorted(path for path in folder.glob("*.yaml") if path.name != ABSENT_FILE)
    if not paths:
        raise BankError(f"{folder} holds no bank; it should hold one YAML file a kind.")
    identifiers = frozenset(path.stem for path in paths)
    kinds = {path.stem: _read_kind(path, identifiers) for path in paths}
    absent = _read_yaml(folder / ABSENT_FILE, (*WORDING_KEYS, "held_out"))
    bank = Bank(kinds, *_read_wordings(absent, folder / ABSENT_FILE))
    _check_unique(bank)
    return bank


def normalise(text: str) -> str:
    """Return ``text`` in lower case with single spaces and without punctuation, to compare wordings."""
    return " ".join(re.sub(r"[^a-z0-9 ]", "", text.lower().replace("-", " ")).split())


def wordings_of(meaning: Meaning) -> tuple[Wording, ...]:
    """Return every wording of ``meaning``, training ones first."""
    return meaning.training + meaning.held_out


def _read_kind(path: Path, identifiers: frozenset[str]) -> Kind:
    data = _read_yaml(path, KIND_KEYS)
    for key in ("name", "plural", "synonyms", "meanings"):
        if not data.get(key):
            raise BankError(f"{path}: {key} is {data.get(key)!r}; every kind needs one.")
    plural_word = bool(data.get("plural_word", False))
    meanings = tuple(_read_meaning(entry, path, identifiers, plural_word) for entry in data["meanings"])
    carried = bool(data.get("carried", True))
    return Kind(path.stem, data["name"], data["plural"], tuple(data["synonyms"]), plural_word, carried, meanings)


def _read_meaning(data: Any, path: Path, identifiers: frozenset[str], plural_word: bool) -> Meaning:
    _check_keys(data, MEANING_KEYS, path)
    if data.get("sort") not in SORTS:
        raise BankError(f"{path}: sort is {data.get('sort')!r}; it must be one of {', '.join(SORTS)}.")
    because = data.get("because")
    because_plural = because if plural_word else data.get("because_plural")
    _check_reason(because, ("They", "Their") if plural_word else ("It", "Its"), path)
    _check_reason(because_plural, ("They", "Their"), path)
    also = frozenset(data.get("also", ()))
    if not also <= identifiers - {path.stem}:
        wrong = ", ".join(sorted(also - (identifiers - {path.stem})))
        raise BankError(f"{path}: also names {wrong}; it must name other kinds: {', '.join(sorted(identifiers))}.")
    return Meaning(data["sort"], because, because_plural, also, *_read_wordings(data, path))


def _check_reason(reason: Any, subjects: tuple[str, ...], path: Path) -> None:
    words = reason.split() if isinstance(reason, str) else []
    if not words or words[0] not in subjects or len(words) > MAX_REASON_WORDS or not reason.endswith("."):
        raise BankError(
            f"{path}: the reason {reason!r} must be one sentence that starts with {' or '.join(subjects)}, "
            f"ends with a full stop and has at most {MAX_REASON_WORDS} words."
        )


def _read_wordings(data: Mapping[str, Any], path: Path) -> tuple[tuple[Wording, ...], tuple[Wording, ...]]:
    held_out: Any = data.get("held_out")
    _check_keys(held_out, WORDING_KEYS, path)
    return tuple(_wordings_in(data, path)), tuple(_wordings_in(held_out, path))


def _wordings_in(data: Mapping[str, Any], path: Path) -> Iterator[Wording]:
    for entry in data.get("phrases", ()):
        number, text = next(iter(entry.items())) if isinstance(entry, dict) and len(entry) == 1 else ("one", entry)
        if number not in NUMBERS:
            raise BankError(f"{path}: the phrase {entry!r} must be text, or text under one of {', '.join(NUMBERS)}.")
        if not isinstance(text, str) or text.rstrip(".?!") != text:
            raise BankError(f"{path}: the phrase {text!r} must be text without punctuation at its end.")
        yield Wording(text, plural=number != "one", several=number == "several")
    for text in data.get("sentences", ()):
        if not isinstance(text, str) or text[-1:] not in (".", "?", "!"):
            raise BankError(f"{path}: the sentence {text!r} must end with a full stop, question or exclamation mark.")
        yield Wording(text, whole=True)


def _read_yaml(path: Path, keys: tuple[str, ...]) -> Mapping[str, Any]:
    try:
        # The C loader reads the bank ten times faster; it is missing where PyYAML was built without libyaml.
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError) as error:
        raise BankError(f"{path} cannot be read as YAML: {error}") from error
    _check_keys(data, keys, path)
    return data


def _check_keys(data: Any, keys: tuple[str, ...], path: Path) -> None:
    if not isinstance(data, dict):
        raise BankError(f"{path}: found {data!r} where a mapping with the keys {', '.join(keys)} is needed.")
    if not set(data) <= set(keys):
        raise BankError(f"{path}: unknown key {sorted(set(data) - set(keys))[0]!r}; valid are {', '.join(keys)}.")


def _check_unique(bank: Bank) -> None:
    """Refuse a wording that stands twice, unless two kinds both name each other in ``also`` and agree on the split."""
    seen: dict[str, list[tuple[str, frozenset[str], bool]]] = {}
    for identifier, also, text, held_out in _all_entries(bank):
        for other, other_also, other_held_out in seen.setdefault(normalise(text), []):
            if held_out != other_held_out or other not in also or identifier not in other_also:
                raise BankError(
                    f"The wording {text!r} stands in {other} and in {identifier}; it may stand once, or in two kinds "
                    "that name each other in also and use it both for training or both held out."
                )
        seen[normalise(text)].append((identifier, also, held_out))


def _all_entries(bank: Bank) -> Iterator[tuple[str, frozenset[str], str, bool]]:
    for identifier, kind in bank.kinds.items():
        for meaning in kind.meanings:
            for wording in wordings_of(meaning):
                yield identifier, meaning.also, wording.text, wording in meaning.held_out
    for wording in bank.absent_training + bank.absent_held_out:
        yield ABSENT_FILE, frozenset(), wording.text, wording in bank.absent_held_out
