"""The command ``lisa eval``: run a benchmark, print its parts, write what was asked for, one JSON line last."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from lisa_ros.datasets.records import DatasetError
from lisa_ros.evaluation.answering import Answered, answer_all
from lisa_ros.evaluation.arguments import add_arguments, command_line
from lisa_ros.evaluation.cases import Benchmark, EvaluationError, Skip
from lisa_ros.evaluation.opening import open_benchmark
from lisa_ros.evaluation.outcomes import Outcome, Rows, Run, read_rows
from lisa_ros.evaluation.predictions import listed, require_all, unused, write_prediction
from lisa_ros.evaluation.report.page import Evaluation, report_page
from lisa_ros.evaluation.summary import Figures, per_kind, summary
from lisa_ros.evaluation.systems import open_system
from lisa_ros.segmenter import SegmenterError
from lisa_ros.simulation.frames import FrameError

__all__ = ["add_arguments", "run"]


def run(arguments: argparse.Namespace) -> int:
    """Run the benchmark; returns the exit code."""
    try:
        benchmark = open_benchmark(arguments)
        if arguments.list:
            _print_cases(benchmark)
        else:
            _evaluate(benchmark, arguments)
    except (DatasetError, EvaluationError, FrameError, SegmenterError) as error:
        print(f"lisa eval: {error}", file=sys.stderr)
        return 1
    return 0


def _print_cases(benchmark: Benchmark) -> None:
    for case in benchmark.cases:
        if isinstance(case, Skip):
            print(f"lisa eval: skipped {case.id}: {case.reason}", file=sys.stderr)
        else:
            print(json.dumps(listed(case)))


def _evaluate(benchmark: Benchmark, arguments: argparse.Namespace) -> None:
    if arguments.resume and not arguments.rows:
        raise EvaluationError("--resume needs the file to go on with; add --rows FILE.")
    beside = [_read_figures(path, benchmark) for path in arguments.beside]
    if arguments.report:
        _write(arguments.report, "")
    system = open_system(benchmark, arguments)
    if arguments.predictions and arguments.missing == "error":
        benchmark = replace(benchmark, cases=list(benchmark.cases))
        require_all(arguments.predictions, benchmark.cases)
    started = time.perf_counter()
    answered = answer_all(benchmark, system, Rows(arguments.rows, system.run, resume=arguments.resume))
    seconds = time.perf_counter() - started
    figures = summary(answered.outcomes, scores_absent=benchmark.scores_absent)
    result = asdict(system.run) | figures | _counted(answered, arguments)
    result |= {"notes": benchmark.notes, "seconds": round(seconds, 3)}
    if arguments.save_predictions:
        for outcome in answered.outcomes:
            write_prediction(arguments.save_predictions, outcome)
    if arguments.report:
        evaluation = Evaluation(benchmark, system.run, figures, answered, beside, result, command_line(arguments))
        _write(arguments.report, report_page(evaluation))
    _print_parts(answered.outcomes, figures)
    print(json.dumps(result))


def _read_figures(path: Path, benchmark: Benchmark) -> tuple[Run, Figures]:
    """Return the figures of another run on the same benchmark from its rows."""
    rows = list(read_rows(path))
    runs = {run for _, run in rows}
    if len(runs) != 1:
        raise EvaluationError(f"{path} holds rows of {len(runs)} runs; --beside needs those of one.")
    run = runs.pop()
    if (run.benchmark, run.split) != (benchmark.name, benchmark.split):
        raise EvaluationError(
            f"{path} holds rows of {run.benchmark} {run.split}, not of {benchmark.name} {benchmark.split}."
        )
    return run, summary([outcome for outcome, _ in rows], scores_absent=benchmark.scores_absent)


def _counted(answered: Answered, arguments: argparse.Namespace) -> Figures:
    """Return what was not asked or not answered, so that nothing is left out silently."""
    counted: Figures = {"limit": arguments.limit, "resumed": answered.resumed, "skipped": len(answered.skipped)}
    counted["skipped_items"] = [asdict(skip) for skip in answered.skipped]
    if arguments.predictions:
        counted["missing"] = sum(outcome.masks == 0 for outcome in answered.outcomes)
        counted["unused_predictions"] = unused(arguments.predictions, answered.cases.values())
    return counted


def _print_parts(outcomes: Sequence[Outcome], figures: Figures) -> None:
    for name, part in (per_kind(outcomes) or figures["groups"]).items():
        line = f"{name:18s}{part['requests']:5d} requests  gIoU {part['gIoU']:.3f}  cIoU {part['cIoU']:.3f}"
        if part.get("right_object") is not None:
            line += f"  right object {part['right_object']:.3f}"
        print(line)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"The report {path} cannot be written ({error.strerror}).") from error
