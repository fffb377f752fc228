"""From arguments to what answers the cases: a segmenter, or a folder of another system's masks."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from lisa_ros.evaluation.benchmark import MODES, Reply, SegmenterReplies, Size
from lisa_ros.evaluation.cases import Benchmark, Case, EvaluationError
from lisa_ros.evaluation.outcomes import Run
from lisa_ros.evaluation.predictions import PredictionReplies
from lisa_ros.model_folder import find_model
from lisa_ros.segmenter import Segmenter, make_segmenter

PREDICTIONS = "predictions"


@dataclass(frozen=True, slots=True)
class System:
    """What answers, and the run that its outcomes belong to."""

    run: Run
    reply: Callable[[Case, Size], Reply]


def open_system(benchmark: Benchmark, arguments: argparse.Namespace) -> System:
    """Return what the arguments name; raises ``SegmenterError`` or ``EvaluationError``."""
    if arguments.predictions:
        name = arguments.name or arguments.predictions.resolve().name
        run = _run(benchmark, arguments, PREDICTIONS, name, PREDICTIONS, {"missing": arguments.missing})
        return System(run, PredictionReplies(arguments.predictions))
    segmenter = open_segmenter(arguments)
    shown = {name: value for name, value in backend_options(arguments).items() if name not in ("model", "threads")}
    settings = shown | {"max_new_tokens": arguments.max_new_tokens}
    run = _run(benchmark, arguments, arguments.mode, segmenter.name, arguments.backend, settings)
    return System(run, SegmenterReplies(segmenter, MODES[arguments.mode], arguments.max_new_tokens))


def _run(
    benchmark: Benchmark, arguments: argparse.Namespace, mode: str, model: str, backend: str, settings: dict[str, Any]
) -> Run:
    return Run(
        benchmark=benchmark.name,
        split=benchmark.split,
        data=benchmark.data,
        mode=mode,
        model=model,
        backend=backend,
        settings=" ".join(f"{name}={value}" for name, value in settings.items()),
        seed=arguments.seed,
    )


def open_segmenter(arguments: argparse.Namespace) -> Segmenter:
    """Make the segmenter that the arguments name; raises ``SegmenterError`` or ``EvaluationError``."""
    options = backend_options(arguments)
    try:
        return make_segmenter(arguments.backend, **options)
    except TypeError as error:
        raise EvaluationError(
            f"The backend {arguments.backend!r} cannot be made with these options: {error}."
        ) from error


def backend_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options to load a backend with: what was set, and for LISA itself its model."""
    settings = {name: getattr(arguments, name) for name in ("device", "dtype", "quantization", "threads")}
    options = {name: value for name, value in settings.items() if value not in ("auto", "none", 0)}
    if arguments.backend == "lisa":
        options["model"] = find_model(arguments.model)
    elif arguments.model:
        options["model"] = arguments.model
    return options | dict(_option(text) for text in arguments.option)


def _option(text: str) -> tuple[str, Any]:
    """Return ``KEY=VALUE`` as a name and a number, a truth value or a text."""
    key, separator, value = text.partition("=")
    if not separator or not key.isidentifier():
        raise EvaluationError(f"--option is {text!r}; it must be KEY=VALUE.")
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        read = value
    return key, read if isinstance(read, (bool, int, float)) else value
