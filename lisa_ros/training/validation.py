"""Scores while a network learns: forced masks, gIoU and cIoU, by all processes together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm import tqdm

from lisa_ros.answers import Mode
from lisa_ros.datasets.opening import open_dataset
from lisa_ros.engine.lisa_segmenter import LisaSegmenter
from lisa_ros.evaluation.benchmark import run
from lisa_ros.evaluation.cases import Case, Skip
from lisa_ros.evaluation.metrics import c_iou, g_iou
from lisa_ros.evaluation.referring import reasonseg_cases, refcoco_cases
from lisa_ros.evaluation.tabletop import tabletop_cases
from lisa_ros.model.processing import LisaProcessor
from lisa_ros.simulation.frames import FrameFolder
from lisa_ros.simulation.requests.sampling import RequestSplit, RequestType
from lisa_ros.training.lisa_objective import LisaObjective
from lisa_ros.training.lisa_settings import ValidationSettings
from lisa_ros.training.metrics import CsvTable, read_rows
from lisa_ros.training.processes import gathered
from lisa_ros.training.settings import SettingsError

TABLETOP = "tabletop"
REQUESTS_PER_FRAME = 3
TABLE = "validation.csv"
Figures = dict[str, float]


class Validation:
    """The cases that a network is scored on; every process answers a share of them.

    On the tabletop, requests whose target is not there are left out, as in its benchmark. Raises ``DatasetError`` or
    ``FrameError`` as the readers do, and ``SettingsError`` when there is nothing to ask.
    """

    def __init__(self, settings: ValidationSettings, accelerator: Accelerator) -> None:
        self.settings, self.accelerator = settings, accelerator
        self.cases = list(islice(_open_cases(settings), settings.limit or None))
        if not any(isinstance(case, Case) for case in self.cases):
            raise SettingsError(f"validate.data is {settings.data!r}; {settings.root} has nothing of it to ask.")

    def is_due(self, step: int, steps: int) -> bool:
        """Say whether the network is scored after ``step`` of ``steps``."""
        return step % self.settings.every == 0 or step == steps

    def run(self, objective: LisaObjective, processor: LisaProcessor, dtype: torch.dtype) -> Figures:
        """Return ``gIoU`` and ``cIoU``, the number of ``cases`` and of those that were ``skipped``.

        The network computes in ``dtype``. Every process has to call this; all get the same figures.
        """
        objective.eval()
        precision = nullcontext() if dtype == torch.float32 else torch.autocast(self.accelerator.device.type, dtype)
        with gathered(objective) as is_sharded, precision:
            segmenter: Any = LisaSegmenter(objective.model, processor)
            outcomes = run(segmenter, self._share(all_of_them=is_sharded), Mode.MASK_FIRST)
            counts = [None if isinstance(outcome, Skip) else outcome.counts for outcome in outcomes]
        # Where all processes answer all cases, those of one count.
        counts = [] if is_sharded and not self.accelerator.is_main_process else counts
        return _figures(gather_object(counts))

    def _share(self, *, all_of_them: bool) -> tqdm[Case | Skip]:
        """Return this process's cases: neighbours, which may share an image.

        Where layers are gathered from all processes for every case, these have to go through the same cases together.
        """
        size = len(self.cases) if all_of_them else -(-len(self.cases) // self.accelerator.num_processes)
        first = 0 if all_of_them else self.accelerator.process_index * size
        # A second bar moves the cursor, which a log file cannot.
        is_quiet = None if self.accelerator.is_main_process else True
        return tqdm(self.cases[first : first + size], "validation", disable=is_quiet, leave=False, mininterval=2)


def _open_cases(settings: ValidationSettings) -> Iterator[Case | Skip]:
    root = Path(settings.root)
    if settings.data == TABLETOP:
        frames = FrameFolder(root)
        cases = tabletop_cases(frames, RequestSplit.TRAIN, requests_per_frame=REQUESTS_PER_FRAME, seed=0)
        return (case for case in cases if case.group == RequestType.PRESENT.value)
    dataset = open_dataset(settings.data, root)
    return (reasonseg_cases if dataset.name.startswith("reason_seg") else refcoco_cases)(dataset)


def _figures(found: list[tuple[int, int] | None]) -> Figures:
    """Return the figures of intersections and unions, ``None`` for a case that could not be used."""
    counts = [pair for pair in found if pair is not None]
    skipped = len(found) - len(counts)
    return {"gIoU": g_iou(counts), "cIoU": c_iou(counts), "cases": len(counts), "skipped": skipped}


class ValidationTable:
    """``OUTPUT/validation.csv``: a row for every validation; those of steps that are run again are replaced."""

    def __init__(self, output: Path) -> None:
        self.path = output / TABLE

    def best_before(self, step: int) -> float:
        """Return the highest gIoU of an earlier step; -1 without one."""
        return max((float(row["gIoU"]) for row in read_rows(self.path) if int(row["step"]) < step), default=-1.0)

    def add(self, step: int, figures: Figures) -> None:
        """Write the figures of the network after ``step`` steps."""
        table = CsvTable(self.path, step)
        table.add(step, figures)
        table.close()
