"""Reading of training settings: YAML into dataclasses; errors quote the value and say what would be valid."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

from lisa_ros.model.configuration_checks import ConfigurationError

Settings = TypeVar("Settings")


class SettingsError(ConfigurationError):
    """A settings file is not valid; the message quotes the value and says what would be valid."""


class TrainingError(RuntimeError):
    """A run cannot go on; the message is one sentence with the remedy."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the named values of a settings file; raises ``SettingsError`` with one sentence."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read as training settings: {error}.") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path} holds {values!r}; it must hold named values.")
    return values


def build_settings(kind: type[Settings], values: object, where: str) -> Settings:
    """Make one dataclass, and those within it, from plain values; ``where`` names their place for messages."""
    if not isinstance(values, dict):
        raise SettingsError(f"{where} holds {values!r}; it must hold named values.")
    hints = get_type_hints(kind)
    unknown = sorted(set(values) - set(hints), key=str)
    if unknown:
        raise SettingsError(f"{where} names {unknown[0]!r}; valid are {', '.join(sorted(hints))}.")
    missing = [entry.name for entry in fields(kind) if entry.name not in values and _is_required(entry)]  # type: ignore[arg-type]
    if missing:
        raise SettingsError(f"{where} does not give {missing[0]!r}, which has no default.")
    return kind(**{name: _converted(hints[name], value, f"{where}, {name}") for name, value in values.items()})


def require_at_least(name: str, value: float, least: float) -> None:
    """Raise ``SettingsError`` unless a number is ``least`` or more."""
    if not value >= least:
        raise SettingsError(f"{name} is {value}; it must be {least} or more.")


def _is_required(entry: Any) -> bool:
    return entry.default is MISSING and entry.default_factory is MISSING


def _converted(hint: Any, value: object, where: str) -> object:
    if isinstance(hint, UnionType):
        (kind,) = set(get_args(hint)) - {type(None)}
        return None if value is None else _converted(kind, value, where)
    if is_dataclass(hint):
        return build_settings(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        return _converted_items(get_args(hint), value, where)
    if get_origin(hint) is dict:
        return _converted_entries(get_args(hint)[1], value, where)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        example = " (3.0e-4 is a number in YAML, 3e-4 is text)" if hint is float and type(value) is str else ""
        raise SettingsError(f"{where} is {value!r}; it must be of type {hint.__name__}{example}.")
    return value


def _converted_items(hints: tuple[Any, ...], value: object, where: str) -> tuple[object, ...]:
    """Convert a list whose items are all of one type; ``hints`` has one for each, or one and an ellipsis."""
    any_number = hints[-1] is Ellipsis
    if not isinstance(value, list) or not (any_number or len(value) == len(hints)):
        wanted = "a list" if any_number else f"a list of {len(hints)}"
        raise SettingsError(f"{where} is {value!r}; it must be {wanted} of type {hints[0].__name__}.")
    return tuple(_converted(hints[0], item, where) for item in value)


def _converted_entries(hint: Any, value: object, where: str) -> dict[str, object]:
    """Convert named values of one type."""
    if not isinstance(value, dict) or not all(type(name) is str for name in value):
        raise SettingsError(f"{where} is {value!r}; it must hold named values of type {hint.__name__}.")
    return {name: _converted(hint, item, f"{where}, {name}") for name, item in value.items()}
