"""The parameters of the node, declared from one dataclass: default, description, what is valid, when it may change."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from lisa_ros.answers import Mode

NODE_BACKENDS = ("lisa", "scripted")
"""Backends whose options are parameters of the node."""


class ParameterError(ValueError):
    """A parameter was given a value that it cannot have; the message is one sentence for the user."""


class Changes(Enum):
    """When a parameter may be changed, and when a change takes effect."""

    AT_ANY_TIME = "It may change at any time and holds from the next query on."
    UNCONFIGURED = "It may change while the node is unconfigured and is read when it is configured."
    NEVER = "It is read once, at the start of the node."


@dataclass(frozen=True, slots=True)
class Rule:
    """What a parameter means and which values it takes: ``choices``, an inclusive ``span``, or a full ``pattern``."""

    text: str
    changes: Changes
    choices: tuple[str, ...] = ()
    span: tuple[float, float] | None = None
    pattern: str = ""
    valid: str = ""

    def check(self, name: str, value: Any) -> None:
        """Raise ``ParameterError`` when ``value`` is not valid for the parameter ``name``."""
        wrong = (
            (bool(self.choices) and value not in self.choices)
            or (self.span is not None and not self.span[0] <= value <= self.span[1])
            or (bool(self.pattern) and re.fullmatch(self.pattern, value) is None)
        )
        if wrong:
            raise ParameterError(f"The parameter {name} is {value!r}; it must be {self.describe_valid()}.")

    def describe_valid(self) -> str:
        """Return what is valid, to end a sentence with; empty when anything is."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return f"from {self.span[0]:g} to {self.span[1]:g}" if self.span else self.valid

    def descriptor(self, default: Any) -> ParameterDescriptor:
        """Return what ``ros2 param describe`` shows."""
        result = ParameterDescriptor(description=f"{self.text} {self.changes.value}")
        result.read_only = self.changes is Changes.NEVER
        result.additional_constraints = "" if self.span else self.describe_valid()
        if self.span and isinstance(default, int):
            result.integer_range = [IntegerRange(from_value=int(self.span[0]), to_value=int(self.span[1]))]
        elif self.span:
            result.floating_point_range = [FloatingPointRange(from_value=self.span[0], to_value=self.span[1])]
        return result


def _live(default: Any, text: str, **valid: Any) -> Any:
    return field(default=default, metadata={"rule": Rule(text, Changes.AT_ANY_TIME, **valid)})


def _configured(default: Any, text: str, **valid: Any) -> Any:
    return field(default=default, metadata={"rule": Rule(text, Changes.UNCONFIGURED, **valid)})


def _once(default: Any, text: str, **valid: Any) -> Any:
    return field(default=default, metadata={"rule": Rule(text, Changes.NEVER, **valid)})


@dataclass(frozen=True, slots=True)
class Parameters:
    """One value for each parameter. Raises ``ParameterError`` when one is not valid."""

    backend: str = _configured(
        "lisa", "Which network answers: lisa, or scripted (made-up answers for tests).", choices=NODE_BACKENDS
    )
    model: str = _configured(
        "", "Folder or Hugging Face id of the LISA checkpoint; empty for the one that comes with this package."
    )
    device: str = _configured(
        "auto",
        "Where the network runs; auto takes the first CUDA device, else the CPU.",
        pattern=r"auto|cpu|cuda(:\d+)?",
        valid="auto, cpu, cuda or cuda:<index>",
    )
    dtype: str = _configured(
        "auto", "Number format of the weights.", choices=("auto", "float32", "bfloat16", "float16")
    )
    quantization: str = _configured(
        "none",
        "Bits of each weight in the blocks of the language model, less memory for less speed; none keeps dtype.",
        choices=("none", "8bit", "4bit"),
    )
    threads: int = _configured(0, "CPU threads of the network; 0 leaves the choice to it.", span=(0, 1024))
    scripted_delay: float = _configured(0.0, "Seconds that an answer of the backend scripted takes.", span=(0.0, 60.0))
    mode: str = _live(
        "auto",
        "auto answers in words and mask; mask_first answers with a mask alone, sooner.",
        choices=tuple(mode.value for mode in Mode),
    )
    max_new_tokens: int = _live(64, "At most so many tokens of words are written for an answer.", span=(1, 1024))
    score_threshold: float = _live(
        0.0, "Objects with a lower score are left out; an answer that loses all becomes NOT_PRESENT.", span=(0.0, 1.0)
    )
    image_timeout: float = _live(
        5.0, "An image that arrived more seconds ago counts as no image; 0 trusts every image.", span=(0.0, 3600.0)
    )
    overlay_color: tuple[int, ...] = _live(
        (255, 64, 32), "Red, green and blue of the mask in ~/overlay, each 0 to 255."
    )
    overlay_alpha: float = _live(0.5, "How much the mask covers the image in ~/overlay.", span=(0.0, 1.0))
    queue_size: int = _configured(4, "So many queries wait while one is answered.", span=(1, 100))
    queue_policy: str = _configured(
        "newest", "Who stays when the queue is full: the newest or the oldest query.", choices=("newest", "oldest")
    )
    image_transport: str = _configured(
        "raw", "raw reads sensor_msgs/Image; compressed reads <image>/compressed.", choices=("raw", "compressed")
    )
    image_reliability: str = _configured(
        "auto",
        "Reliability asked of the image publishers; auto matches what they offer.",
        choices=("auto", "reliable", "best_effort"),
    )
    autostart: bool = _once(True, "Whether the node configures and activates itself at the start.")

    def __post_init__(self) -> None:
        for parameter in fields(self):
            parameter.metadata["rule"].check(parameter.name, getattr(self, parameter.name))
        if len(self.overlay_color) != 3 or not all(0 <= value <= 255 for value in self.overlay_color):
            raise ParameterError(
                f"The parameter overlay_color is {list(self.overlay_color)}; it must be three numbers from 0 to 255."
            )


def declare(node: Node) -> None:
    """Declare every parameter on ``node``; raise ``ParameterError`` for an override that is not valid."""
    for parameter in fields(Parameters):
        try:
            node.declare_parameter(
                parameter.name, parameter.default, parameter.metadata["rule"].descriptor(parameter.default)
            )
        except ParameterException as error:
            # Its message quotes the value and the range or the type expected.
            raise ParameterError(f"{error}.") from error
    read(node)


def read(node: Node) -> Parameters:
    """Return the present values."""
    return Parameters(**{f.name: _plain(node.get_parameter(f.name).value) for f in fields(Parameters)})


def judge(current: Parameters, changes: list[Parameter], is_unconfigured: bool) -> SetParametersResult:
    """Say whether ``changes`` may be made to ``current``, with the reason if not; other nodes' parameters may."""
    rules = {f.name: f.metadata["rule"] for f in fields(Parameters)}
    own = {change.name: _plain(change.value) for change in changes if change.name in rules}
    for name, value in own.items():
        if rules[name].changes is Changes.UNCONFIGURED and not is_unconfigured:
            return SetParametersResult(
                successful=False,
                reason=f"The parameter {name} cannot become {value!r} now: clean the node up first "
                "(ros2 lifecycle set <node> deactivate, then cleanup) and configure it again.",
            )
    try:
        replace(current, **own)
    except ParameterError as error:
        return SetParametersResult(successful=False, reason=str(error))
    return SetParametersResult(successful=True)


def _plain(value: Any) -> Any:
    """Return sequences as tuples, so that ``Parameters`` stays immutable."""
    return value if isinstance(value, (str, int, float, bool)) else tuple(value)
