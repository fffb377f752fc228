"""From arguments to a benchmark: its cases and the sentences beside its figures."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from itertools import islice

from lisa_ros.datasets.opening import open_dataset
from lisa_ros.evaluation.cases import Benchmark, Case, EvaluationError, Skip
from lisa_ros.evaluation.referring import reasonseg_cases, refcoco_cases
from lisa_ros.evaluation.tabletop import tabletop_cases
from lisa_ros.simulation.frames import FrameFolder
from lisa_ros.simulation.requests.sampling import RequestSplit

AS_GIVEN = (
    "Masks are scored as the system gives them. A checkpoint with acceptance limits (the embedded one) removes specks "
    "and very small masks before, in both modes; the official checkpoints have no such limits."
)
IGNORED = (
    "Pixels that the data set marks as ignored count neither for nor against; an empty answer to an empty truth is 1."
)
NEVER_SEEN = (
    "The published v1 checkpoints were trained on ReasonSeg train and val: their figures on val do not tell how they "
    "do on pictures that they have never seen. Use test for that."
)
LIMITED = "Only the first cases of the split were asked (--limit); the figures are not those of the whole split."


def open_benchmark(arguments: argparse.Namespace) -> Benchmark:
    """Return the cases that the arguments name; raises ``DatasetError``, ``FrameError`` or ``EvaluationError``."""
    limit = arguments.limit
    if limit is not None and limit < 1:
        raise EvaluationError(f"--limit is {limit}; it must be 1 or more.")
    if arguments.benchmark == "tabletop":
        return _tabletop(arguments, limit)
    return _referring(arguments, limit)


def _tabletop(arguments: argparse.Namespace, limit: int | None) -> Benchmark:
    frames, each = FrameFolder(arguments.frames), arguments.requests_per_frame
    cases = tabletop_cases(frames, RequestSplit(arguments.split), requests_per_frame=each, seed=arguments.seed)
    total = len(frames) * each
    return Benchmark(
        name="tabletop",
        split=arguments.split,
        data=arguments.frames.resolve().name,
        cases=islice(cases, limit),
        total=total if limit is None else min(total, limit),
        scores_absent=False,
        notes=(AS_GIVEN, "gIoU and cIoU are over the requests whose target is there.", *_limited(limit)),
    )


def _referring(arguments: argparse.Namespace, limit: int | None) -> Benchmark:
    is_reasonseg = arguments.benchmark == "reasonseg"
    spec = f"reason_seg|{arguments.split}" if is_reasonseg else arguments.split
    if spec.count("|") != (1 if is_reasonseg else 2):
        raise EvaluationError(f"split is {arguments.split!r}; name all of it, such as 'refcoco|unc|val'.")
    make_cases = reasonseg_cases if is_reasonseg else refcoco_cases
    dataset = open_dataset(spec, arguments.data)
    cases = list(islice(make_cases(dataset, plain=arguments.plain), limit))
    _require_unique(cases)
    split = arguments.split if is_reasonseg else dataset.name
    notes = (AS_GIVEN, IGNORED, *([NEVER_SEEN] if spec == "reason_seg|val" else []), *_limited(limit))
    data = arguments.data.resolve().name
    return Benchmark(arguments.benchmark, split, data, cases, len(cases), scores_absent=True, notes=notes)


def _limited(limit: int | None) -> tuple[str, ...]:
    return () if limit is None else (LIMITED,)


def _require_unique(cases: Iterable[Case | Skip]) -> None:
    seen: set[str] = set()
    for case in cases:
        if isinstance(case, Case) and case.id in seen:
            raise EvaluationError(f"Two cases have the id {case.id!r}; the images of a data set need different names.")
        seen.add(case.id)
