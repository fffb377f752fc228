"""What cases came to, and their rows on disk: one JSON object a line, appended as they come."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lisa_ros.evaluation.cases import EvaluationError
from lisa_ros.evaluation.metrics import intersection_over_union


@dataclass(frozen=True, slots=True)
class Run:
    """What was evaluated on what: outcomes of different runs are never mixed.

    ``data`` is the name of the folder. ``mode`` is "free", "forced" or "predictions". ``settings`` are those that
    change answers, as ``name=value``. ``seed`` is that of drawn requests and of the report's choice.
    """

    benchmark: str
    split: str
    data: str
    mode: str
    model: str
    backend: str
    settings: str
    seed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one case came to.

    ``intersection`` and ``union`` in pixels leave the ignored region out; ``target_pixels`` and ``mask_pixels`` are
    those of the truth and of all masks united. ``masks`` is the number of masks given. ``right_object`` says whether
    the words name the right thing, None where no right name is known. ``mask`` is the united mask as a PNG, 255 on it.
    """

    id: str
    image: str
    text: str
    request: str
    group: str
    kind: str
    sort: str
    verdict: str
    words: str
    error: str
    label: str
    right_object: bool | None
    masks: int
    intersection: int
    union: int
    target_pixels: int
    mask_pixels: int
    score: float | None
    milliseconds: float | None
    mask: bytes

    @property
    def has_target(self) -> bool:
        """Whether the thing asked for is in the image."""
        return self.target_pixels > 0

    @property
    def iou(self) -> float:
        """IoU of answer and truth as gIoU counts it."""
        return intersection_over_union(self.intersection, self.union)

    @property
    def counts(self) -> tuple[int, int]:
        """Intersection and union."""
        return (self.intersection, self.union)


def encode_mask(mask: NDArray[np.bool_]) -> bytes:
    """Return a bool ``[H, W]`` mask as a PNG of one channel, 255 on the mask."""
    return cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes()


def decode_mask(png: bytes) -> NDArray[np.bool_]:
    """Return the mask of ``encode_mask``, bool ``[H, W]``."""
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise ValueError("no mask")
    return pixels > 0


def as_row(outcome: Outcome, run: Run) -> dict[str, Any]:
    """Return an outcome as plain values; ``mask`` is its PNG in base64."""
    mask = base64.b64encode(outcome.mask).decode("ascii")
    return asdict(outcome) | {"iou": round(outcome.iou, 6), "mask": mask, "run": asdict(run)}


def from_row(row: dict[str, Any]) -> tuple[Outcome, Run]:
    """Return what ``as_row`` was given; raises ``KeyError``, ``TypeError`` or ``ValueError`` for anything else."""
    values = {field.name: row[field.name] for field in fields(Outcome)}
    values["mask"] = base64.b64decode(values["mask"], validate=True)
    return Outcome(**values), Run(**row["run"])


class Rows:
    """A file of rows that grows with a run; without a path nothing is kept.

    ``resume`` continues a file of the same run, whose last line may be half written. Raises ``EvaluationError`` when
    the file cannot be used, holds rows of another run, or holds anything at all without ``resume``.
    """

    def __init__(self, path: Path | None, run: Run, *, resume: bool) -> None:
        self.path, self.run = path, run
        self.done: dict[str, Outcome] = {}
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if resume and path.exists():
                self._continue(path)
            elif path.exists() and path.stat().st_size:
                raise EvaluationError(f"{path} holds rows already; add --resume to go on with it, or name another.")
            else:
                path.write_bytes(b"")
        except OSError as error:
            raise EvaluationError(f"The rows {path} cannot be written ({error.strerror}).") from error

    def _continue(self, path: Path) -> None:
        whole = path.read_bytes()
        finished = whole[: whole.rfind(b"\n") + 1]
        if len(finished) < len(whole):
            path.write_bytes(finished)
        for outcome, run in read_rows(path):
            if run != self.run:
                raise EvaluationError(
                    f"{path} holds rows of another run ({_unlike(run, self.run)}); name another file."
                )
            self.done[outcome.id] = outcome

    def append(self, outcome: Outcome) -> None:
        """Write one outcome at once, so that a run that is killed loses none."""
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(as_row(outcome, self.run)) + "\n")


def read_rows(path: Path) -> Iterator[tuple[Outcome, Run]]:
    """Yield the outcomes of a file with the run that they are of; raises ``EvaluationError`` when they are no rows."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"The rows {path} cannot be read ({error}).") from error
    for number, line in enumerate(lines, start=1):
        try:
            yield from_row(json.loads(line))
        except (KeyError, TypeError, ValueError) as error:
            raise EvaluationError(f"Line {number} of {path} is not a row of `lisa eval` ({error!r}).") from error


def _unlike(found: Run, wanted: Run) -> str:
    pairs = [(name, getattr(found, name), getattr(wanted, name)) for name in asdict(wanted)]
    return ", ".join(f"{name} {was!r}, not {now!r}" for name, was, now in pairs if was != now)
