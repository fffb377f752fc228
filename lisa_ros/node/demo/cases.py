"""What is asked about which frame, and what is known of the true answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ament_index_python import get_package_share_directory
from numpy.typing import NDArray

from lisa_ros.node.demo.errors import DemoError
from lisa_ros.simulation.frames import Frame, FrameFolder
from lisa_ros.simulation.requests.drawing import REQUESTS_FILE
from lisa_ros.simulation.requests.sampling import RequestType


@dataclass(frozen=True, slots=True)
class Case:
    """One request about the frame at ``position`` of a folder.

    ``target_ids`` are the instances whose union is the true mask, empty unless the type is ``PRESENT``; the type is
    None where nothing is known of the true answer.
    """

    position: int
    text: str
    kind: str = ""
    target_ids: tuple[int, ...] = ()
    request_type: RequestType | None = None

    @property
    def has_target(self) -> bool:
        """Whether the answer must be a mask."""
        return self.request_type is RequestType.PRESENT

    def truth(self, frame: Frame) -> NDArray[np.bool_]:
        """Return the true mask, bool ``[H, W]``, empty without a target."""
        return np.isin(frame.instance_ids, self.target_ids)


def read_cases(folder: FrameFolder) -> list[Case]:
    """Read the file of requests inside a folder of frames.

    It is a list of objects with the fields ``frame`` (index of the frame), ``text``, ``kind``, ``target_ids`` and
    ``request_type``. Raises ``DemoError`` when it is missing or does not fit the frames.
    """
    path = folder.path / REQUESTS_FILE
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        cases = [_case_from(entry, folder) for entry in entries]
    except OSError as error:
        raise DemoError(f"The requests {path} cannot be read ({error.strerror}).") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DemoError(f"The requests {path} do not fit the frames beside them: {error}.") from error
    if not cases:
        raise DemoError(f"The requests {path} are an empty list, so there is nothing to ask.")
    return cases


def user_cases(queries: Sequence[str]) -> list[Case]:
    """Return requests about the one frame of a user's picture."""
    return [Case(0, text) for text in queries]


def _case_from(entry: dict[str, Any], folder: FrameFolder) -> Case:
    request_type, target_ids = RequestType(entry["request_type"]), tuple(entry["target_ids"])
    if entry["frame"] not in folder.indices:
        raise ValueError(f"there is no frame {entry['frame']!r}, only {folder.indices}")
    if (request_type is RequestType.PRESENT) != bool(target_ids):
        raise ValueError(f"{entry['text']!r} is {request_type.value} and has the targets {list(target_ids)}")
    return Case(folder.indices.index(entry["frame"]), entry["text"], entry["kind"], target_ids, request_type)


def bundled_frames() -> Path:
    """Return the folder of the frames that come with this package.

    In the share folder of an installed workspace, else next to the source. Raises ``DemoError`` if it is in neither.
    """
    parents = [Path(get_package_share_directory("lisa_ros")), Path(__file__).resolve().parents[3]]
    for parent in parents:
        if (parent / "demo" / "tabletop").is_dir():
            return parent / "demo" / "tabletop"
    raise DemoError("The frames of the demo are missing from this installation; build the workspace again.")
