"""Masks of any system in a folder, one PNG a case: ``<id of the case>.png``, as ``lisa eval ... --list`` names it.

A mask is a picture of one channel and of the size of the image of its case, 0 off the mask and one other value on it
(0 and 1, or 0 and 255); an empty mask is all 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lisa_ros.answers import Verdict
from lisa_ros.evaluation.benchmark import Reply, Size, in_words
from lisa_ros.evaluation.cases import Case, EvaluationError, Skip
from lisa_ros.evaluation.outcomes import Outcome

SUFFIX = ".png"
LISTED = 5


class PredictionReplies:
    """Replies with the masks of a folder, an empty one where it has none.

    Raises ``EvaluationError`` with one sentence when the folder is not there, and for a file that is no mask of its
    case.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise EvaluationError(f"The folder of predictions {folder} does not exist.")
        self.folder = folder

    def __call__(self, case: Case, size: Size) -> Reply:
        """Return the mask of a case."""
        path = self.folder / f"{case.id}{SUFFIX}"
        if not path.is_file():
            return Reply(np.zeros(size, bool), 0, Verdict.NOT_PRESENT)
        mask = read_mask(path, size)
        return Reply(mask, 1, Verdict.FOUND if mask.any() else Verdict.NOT_PRESENT)


def require_all(folder: Path, cases: Iterable[Case | Skip]) -> None:
    """Raise ``EvaluationError`` when the folder lacks the mask of a case."""
    wanted = [f"{case.id}{SUFFIX}" for case in cases if isinstance(case, Case)]
    missing = [name for name in wanted if not (folder / name).is_file()]
    if missing:
        named = ", ".join(missing[:LISTED]) + (", ..." if len(missing) > LISTED else "")
        raise EvaluationError(
            f"{folder} lacks {len(missing)} of {len(wanted)} masks ({named}); "
            "add them, or count them as empty ones with --missing empty."
        )


def unused(folder: Path, cases: Iterable[Case]) -> int:
    """Return the number of pictures in a folder that belong to none of the cases."""
    return len({path.name for path in folder.glob(f"*{SUFFIX}")} - {f"{case.id}{SUFFIX}" for case in cases})


def read_mask(path: Path, size: Size) -> NDArray[np.bool_]:
    """Read the mask of an image of ``size``; raises ``EvaluationError`` for anything else."""
    try:
        with Image.open(path) as picture:
            pixels: NDArray[Any] = np.asarray(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise EvaluationError(f"{path} cannot be read as a picture ({error}).") from error
    if pixels.ndim != 2:
        raise EvaluationError(f"{path} is a picture in colour; a mask has one channel, 0 off the mask.")
    if pixels.shape != size:
        raise EvaluationError(f"{path} is {in_words(pixels.shape)} pixels; the image of its case is {in_words(size)}.")
    values = np.unique(pixels)
    if np.count_nonzero(values) > 1:
        raise EvaluationError(f"{path} holds {len(values)} different values; a mask has 0 and one other value.")
    return pixels != 0


def write_prediction(folder: Path, outcome: Outcome) -> None:
    """Write the mask of an outcome as a file that ``PredictionReplies`` reads."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{outcome.id}{SUFFIX}").write_bytes(outcome.mask)
    except OSError as error:
        raise EvaluationError(f"Predictions cannot be written into {folder} ({error.strerror}).") from error


def listed(case: Case) -> dict[str, str]:
    """Return what another system needs to know of a case: its id, image and wording, and the file for its mask."""
    return {
        "id": case.id,
        "image": str(case.image_path),
        "text": case.text,
        "request": case.request,
        "group": case.group,
        "prediction": f"{case.id}{SUFFIX}",
    }
