"""Where the weights are: the folder that a user named, or the embedded checkpoint."""

from __future__ import annotations

import os
from pathlib import Path

from lisa_ros.segmenter import SegmenterError

EMBEDDED = Path("weights", "lisa-tabletop")


def find_model(model: str) -> str:
    """Return the folder or id to load for the parameter ``model``.

    Empty stands for the embedded checkpoint: in the share folder of an installed workspace, else next to the source.
    An id of the hub is OWNER/NAME; anything else means a folder. Raises ``SegmenterError`` when it is not there.
    """
    if not model:
        return str(_embedded())
    folder = Path(model).expanduser()
    if folder.is_dir():
        return str(folder)
    if folder.is_absolute() or model.startswith(("~", ".")) or model.count("/") != 1:
        raise SegmenterError(f"The model folder {model!r} does not exist; set the parameter model to one that does.")
    return model


def _embedded() -> Path:
    shares = [Path(prefix, "share", "lisa_ros") for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)]
    for parent in [*shares, Path(__file__).resolve().parents[1]]:
        if (parent / EMBEDDED).is_dir():
            return parent / EMBEDDED
    raise SegmenterError(
        f"The embedded checkpoint {EMBEDDED} is missing from this installation; "
        "build the workspace again or set the parameter model to a folder or id."
    )
