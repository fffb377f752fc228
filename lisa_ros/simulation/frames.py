"""Frames on disk: a picture, instance ids, optionally depth, and what is known of every object.

``dataset.json`` says how the folder was made. Frame ``index`` is ``frames/{index:06d}.jpg`` (colour), ``.png`` (uint8
instance ids: 0 background, i + 1 for ``objects[i]``), ``_depth.png`` (uint16 millimetres, 0 unknown; optional) and
``.json``, which is written last: a frame without it is not finished.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

GENERATOR_VERSION = 1
JPEG_QUALITY = 93
VISIBLE_PIXELS = 30
"""Objects with fewer pixels than this count as invisible."""


class FrameError(RuntimeError):
    """A folder of frames cannot be read or continued; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """How a folder of frames was made: frame content depends on these fields and the index alone.

    ``samples`` is the number of light paths a pixel, 0 for a renderer that traces none.
    """

    seed: int
    split: str
    width: int
    height: int
    depth: bool = False
    renderer: str = "mujoco"
    generator_version: int = GENERATOR_VERSION
    samples: int = 0


@dataclass(frozen=True, slots=True)
class FrameCamera:
    """``matrix`` is the 3x3 K, ``pose`` the 4x4 transform from the optical frame (z forward) to the world."""

    matrix: NDArray[np.float64]
    pose: NDArray[np.float64]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class FrameObject:
    """One object of a frame.

    ``pose`` and ``pose_camera`` are rigid 4x4 transforms from the object's frame (origin on the ground below its
    middle when it stands upright, z up) to the world and to the optical frame. ``size`` is its width, depth and height
    in its own frame, in metres. ``box`` is ``(x_min, y_min, x_max, y_max)`` in pixels, maxima exclusive, zeros if none.
    """

    kind: str
    mesh: str
    pose: NDArray[np.float64]
    pose_camera: NDArray[np.float64]
    size: tuple[float, float, float]
    visible_pixels: int
    box: tuple[int, int, int, int]

    @property
    def visible(self) -> bool:
        """Whether enough of the object is seen to ask for it."""
        return self.visible_pixels >= VISIBLE_PIXELS


@dataclass(frozen=True, slots=True)
class Frame:
    """``rgb`` uint8 ``[H, W, 3]``, ``instance_ids`` uint8 ``[H, W]``, ``depth`` float32 ``[H, W]`` metres or None."""

    rgb: NDArray[np.uint8]
    instance_ids: NDArray[np.uint8]
    objects: tuple[FrameObject, ...]
    camera: FrameCamera
    depth: NDArray[np.float32] | None = None


class FrameFolder:
    """Reads the finished frames of a folder, in the order of their indices.

    Raises ``FrameError`` with one sentence when the folder or a file of it is missing or corrupt.
    """

    def __init__(self, path: Path | str) -> None:
        """Open a folder that ``lisa simulate`` made."""
        self.path = Path(path)
        self.info = read_info(self.path)
        self.indices = finished_frames(self.path)

    def __len__(self) -> int:
        """Return the number of finished frames."""
        return len(self.indices)

    def __getitem__(self, position: int) -> Frame:
        """Return the frame at a position among the finished ones."""
        return read_frame(self.path, self.indices[position])


def read_info(folder: Path) -> DatasetInfo:
    """Read ``dataset.json``."""
    entry = _read_json(folder / "dataset.json")
    try:
        return DatasetInfo(**entry)
    except TypeError as error:
        raise FrameError(f"{folder / 'dataset.json'} is not the description of a folder of frames: {error}.") from error


def start_folder(folder: Path, info: DatasetInfo) -> None:
    """Make a folder for frames, or check that an existing one was made in the same way."""
    (folder / "frames").mkdir(parents=True, exist_ok=True)
    path = folder / "dataset.json"
    if not path.exists():
        _write_whole(path, json.dumps(asdict(info), indent=1).encode())
    elif read_info(folder) != info:
        raise FrameError(f"{folder} holds frames made as {read_info(folder)}, not {info}; choose another folder.")


def finished_frames(folder: Path) -> list[int]:
    """Return the indices of the finished frames, ascending."""
    return sorted(int(path.stem) for path in (folder / "frames").glob("[0-9]*.json"))


def read_frame(folder: Path, index: int) -> Frame:
    """Read frame ``index``."""
    stem = folder / "frames" / f"{index:06d}"
    entry = _read_json(stem.with_suffix(".json"))
    try:
        camera, objects = _camera_from(entry["camera"]), tuple(_object_from(item) for item in entry["objects"])
    except (KeyError, TypeError, ValueError) as error:
        raise FrameError(f"{stem}.json is corrupt ({error!r}); delete it and simulate again.") from error
    shape = (camera.height, camera.width)
    rgb = _read_picture(stem.with_suffix(".jpg"), cv2.IMREAD_COLOR, shape)[:, :, ::-1]
    ids = _read_picture(stem.with_suffix(".png"), cv2.IMREAD_UNCHANGED, shape)
    depth_path = stem.with_name(f"{stem.name}_depth.png")
    depth = None
    if depth_path.exists():
        depth = _read_picture(depth_path, cv2.IMREAD_UNCHANGED, shape).astype(np.float32) / np.float32(1000.0)
    return Frame(np.ascontiguousarray(rgb), ids, objects, camera, depth)


def write_frame(folder: Path, index: int, frame: Frame) -> None:
    """Write a frame, its JSON file last and at once."""
    stem = folder / "frames" / f"{index:06d}"
    bgr = np.ascontiguousarray(frame.rgb[:, :, ::-1])
    _write_whole(stem.with_suffix(".jpg"), _encoded(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]))
    _write_whole(stem.with_suffix(".png"), _encoded(".png", frame.instance_ids, []))
    if frame.depth is not None:
        millimetres = np.clip(np.rint(frame.depth * 1000.0), 0, 65535).astype(np.uint16)
        _write_whole(stem.with_name(f"{stem.name}_depth.png"), _encoded(".png", millimetres, []))
    entry = {"camera": _camera_entry(frame.camera), "objects": [_object_entry(item) for item in frame.objects]}
    _write_whole(stem.with_suffix(".json"), json.dumps(entry).encode())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        entry = json.loads(path.read_text())
    except OSError as error:
        raise FrameError(
            f"{path} cannot be read ({error.strerror}); make simulated frames there with `lisa simulate`."
        ) from error
    except ValueError as error:
        raise FrameError(f"{path} is corrupt ({error}); delete it and simulate again.") from error
    if not isinstance(entry, dict):
        raise FrameError(f"{path} is corrupt (not a JSON object); delete it and simulate again.")
    return entry


def _read_picture(path: Path, mode: int, shape: tuple[int, int]) -> NDArray[Any]:
    picture = cv2.imread(str(path), mode) if path.exists() else None
    if picture is None or picture.shape[:2] != shape:
        found = "missing" if not path.exists() else "corrupt" if picture is None else f"{picture.shape[:2]} pixels"
        raise FrameError(f"{path} is {found}, expected {shape} pixels; delete its .json file and simulate again.")
    return picture


def _camera_entry(camera: FrameCamera) -> dict[str, Any]:
    pose = camera.pose.round(6).tolist()
    return {"K": camera.matrix.tolist(), "T_world_camera": pose, "width": camera.width, "height": camera.height}


def _camera_from(entry: dict[str, Any]) -> FrameCamera:
    matrix, pose = np.array(entry["K"], float).reshape(3, 3), np.array(entry["T_world_camera"], float).reshape(4, 4)
    return FrameCamera(matrix, pose, int(entry["width"]), int(entry["height"]))


def _object_entry(item: FrameObject) -> dict[str, Any]:
    entry = {"kind": item.kind, "mesh": item.mesh, "size": [round(side, 5) for side in item.size]}
    poses = {"pose": item.pose.round(6).tolist(), "pose_camera": item.pose_camera.round(6).tolist()}
    return {**entry, **poses, "visible_pixels": item.visible_pixels, "box": list(item.box)}


def _object_from(entry: dict[str, Any]) -> FrameObject:
    pose, pose_camera = (np.array(entry[key], float).reshape(4, 4) for key in ("pose", "pose_camera"))
    width, depth, height = entry["size"]
    x_min, y_min, x_max, y_max = entry["box"]
    box, pixels = (x_min, y_min, x_max, y_max), int(entry["visible_pixels"])
    return FrameObject(entry["kind"], entry["mesh"], pose, pose_camera, (width, depth, height), pixels, box)


def _encoded(suffix: str, picture: NDArray[Any], options: list[int]) -> bytes:
    return cv2.imencode(suffix, picture, options)[1].tobytes()


def _write_whole(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(data)
    temporary.replace(path)
