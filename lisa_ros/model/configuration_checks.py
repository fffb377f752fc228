"""What a configuration is checked with: plain JSON values into dataclasses, and rules between fields."""

from __future__ import annotations

from dataclasses import MISSING, fields
from math import isfinite
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Part = TypeVar("Part")

MAY_BE_BELOW_ONE = frozenset({"select_layer", "num_multimask_outputs"})
"""Whole numbers that are not a size or a count of something that has to exist; token ids are checked elsewhere."""


class ConfigurationError(ValueError):
    """A configuration is not valid; the message quotes the value received and says what would be valid."""


def build_part(part: type[Part], prefix: str, values: object) -> Part:
    """Make one dataclass from plain values, lists as tuples; raises ``ConfigurationError``."""
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"{prefix.rstrip('.') or 'The configuration'} is {values!r}; it must hold named values."
        )
    hints = get_type_hints(part)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ConfigurationError(f"{prefix}{unknown[0]} is not known; valid are {', '.join(sorted(hints))}.")
    missing = [entry.name for entry in fields(part) if entry.name not in values and _is_required(entry)]  # type: ignore[arg-type]
    if missing:
        raise ConfigurationError(f"{prefix}{missing[0]} is missing; it has no default.")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    for name, value in values.items():
        if not _is_of_type(value, hints[name]):
            expected = str(getattr(hints[name], "__name__", hints[name]))
            raise ConfigurationError(f"{prefix}{name} is {value!r}; it must be of type {expected}.")
        if isinstance(value, float) and not isfinite(value):
            raise ConfigurationError(f"{prefix}{name} is {value!r}; it must be a finite number.")
    return part(**values)


def _is_required(entry: Any) -> bool:
    return entry.default is MISSING and entry.default_factory is MISSING


def _is_of_type(value: object, hint: Any) -> bool:
    kinds = get_args(hint)
    if get_origin(hint) is tuple:
        fitting = isinstance(value, tuple) and (Ellipsis in kinds or len(value) == len(kinds))
        return fitting and all(type(entry) is int for entry in value)  # type: ignore[attr-defined]
    allowed = kinds or (hint,)
    return type(value) in allowed or (float in allowed and type(value) is int)


def require_sizes(prefix: str, part: Any) -> None:
    """Raise unless the whole numbers of a part, apart from ``MAY_BE_BELOW_ONE``, are 1 or more and others above 0."""
    for entry in fields(part):
        value = getattr(part, entry.name)
        if type(value) is int and value < 1 and entry.name not in MAY_BE_BELOW_ONE:
            raise ConfigurationError(f"{prefix}{entry.name} is {value}; it must be 1 or more.")
        if type(value) is float and value <= 0.0:
            raise ConfigurationError(f"{prefix}{entry.name} is {value}; it must be above 0.")


def require_multiple(prefix: str, part: Any, name: str, divisor_name: str) -> None:
    """Raise unless one field of a part is a multiple of another."""
    value, divisor = getattr(part, name), getattr(part, divisor_name)
    if value % divisor:
        raise ConfigurationError(f"{prefix}{name} is {value}; it must be a multiple of {divisor_name}, {divisor}.")


def require_one_of(name: str, value: object, valid: tuple[str, ...]) -> None:
    """Raise unless a value is one of those that are valid."""
    if value not in valid:
        raise ConfigurationError(f"{name} is {value!r}; choose one of {', '.join(valid)}.")
