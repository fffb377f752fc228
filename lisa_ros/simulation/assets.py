"""The asset cache: household models converted once to plain metric meshes that any renderer reads.

Layout: ``manifest.json`` (written last), ``meshes/<identifier>/`` with one OBJ and at most one PNG a part and a
``mesh.json``, ``surfaces/<name>.png`` for tables, floors and walls. Meshes are in metres, z up, their origin on the
ground below the middle of their footprint.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from functools import cache as remembered
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import cv2
import numpy as np
from tqdm import tqdm

from lisa_ros.simulation.kinds import KINDS, Kind, Library, MeshSource
from lisa_ros.simulation.normalising import Pose, normalise
from lisa_ros.simulation.primitives import Picture, make_primitive
from lisa_ros.simulation.sources import AssetError, fetch_archives
from lisa_ros.simulation.wavefront import MeshPart, read_wavefront, two_sided, write_wavefront

MANIFEST_VERSION = 2
TEXTURE_PIXELS = 512
TEXTURES = "robosuite/models/assets/textures"
OBJECT_TEXTURES = ("bread", "can", "cereal", "lemon", "soda", "glass")


@dataclass(frozen=True, slots=True)
class PartAsset:
    """One OBJ file of one material; ``texture`` is a PNG beside it or empty, ``colour`` RGBA in [0, 1]."""

    mesh: str
    texture: str
    colour: tuple[float, float, float, float]
    specular: float
    shininess: float


@dataclass(frozen=True, slots=True)
class MeshAsset:
    """One converted mesh with its parts and the poses in which it rests on a table."""

    identifier: str
    kind: str
    held_out: bool
    licence: str
    author: str
    source: str
    parts: tuple[PartAsset, ...]
    poses: tuple[Pose, ...]
    sha256: dict[str, str]


@dataclass(frozen=True, slots=True)
class AssetCache:
    """A complete cache: its folder, every mesh by identifier, and the names of its surfaces."""

    folder: Path
    meshes: dict[str, MeshAsset]
    surfaces: tuple[str, ...]

    def part_path(self, mesh: MeshAsset, name: str) -> Path:
        """Return the path of a file of ``mesh``."""
        return self.folder / "meshes" / mesh.identifier / name

    def surface_path(self, name: str) -> Path:
        """Return the path of the picture of a surface."""
        return self.folder / "surfaces" / f"{name}.png"


def default_cache() -> Path:
    """Return ``$LISA_ROS_ASSETS``, or ``~/.cache/lisa_ros/assets`` if it is not set."""
    return Path(os.environ.get("LISA_ROS_ASSETS") or Path.home() / ".cache" / "lisa_ros" / "assets")


def load_assets(folder: Path) -> AssetCache:
    """Read the manifest of a cache; raises ``AssetError`` with the remedy if it is missing or of another version."""
    return _load_assets(folder.resolve())


@remembered
def _load_assets(folder: Path) -> AssetCache:
    path = folder / "manifest.json"
    remedy = "run `lisa simulate --fetch-assets`"
    try:
        manifest = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise AssetError(f"The objects of the tabletop are not in {folder}; {remedy}.") from error
    if manifest.get("version") != MANIFEST_VERSION:
        found = manifest.get("version")
        raise AssetError(f"{path} has version {found}, this program needs {MANIFEST_VERSION}; {remedy}.")
    meshes = {entry["identifier"]: _mesh_from(entry) for entry in manifest["meshes"]}
    return AssetCache(folder, meshes, tuple(manifest["surfaces"]))


def fetch_assets(folder: Path) -> AssetCache:
    """Fetch and convert every mesh and surface that is not in ``folder`` yet, and write the manifest.

    Raises ``AssetError`` with one sentence and the remedy when a source cannot be had.
    """
    archives = fetch_archives(folder)
    work = [(kind, source) for kind in KINDS for source in kind.meshes]
    entries = [_convert_once(folder, archives, *item) for item in tqdm(work, desc="objects", unit="mesh")]
    surfaces = _convert_surfaces(folder, archives["robosuite"])
    manifest = {"version": MANIFEST_VERSION, "meshes": entries, "surfaces": surfaces}
    _write_whole(folder / "manifest.json", json.dumps(manifest, indent=1).encode())
    _load_assets.cache_clear()
    return load_assets(folder)


def _convert_once(folder: Path, archives: dict[Library, ZipFile], kind: Kind, source: MeshSource) -> dict[str, Any]:
    target = folder / "meshes" / source.identifier
    recipe = repr((MANIFEST_VERSION, kind.identifier, source))
    try:
        done: dict[str, Any] = json.loads((target / "mesh.json").read_text())
        if done["recipe"] == recipe:
            return done
    except (OSError, ValueError, KeyError):
        target.mkdir(parents=True, exist_ok=True)
    entry = {"recipe": recipe, **_convert(target, archives, kind, source)}
    _write_whole(target / "mesh.json", json.dumps(entry).encode())
    return entry


def _convert(target: Path, archives: dict[Library, ZipFile], kind: Kind, source: MeshSource) -> dict[str, Any]:
    raw, pictures = _read_model(archives, source)
    parts, poses = normalise(raw, source)
    written = tuple(_write_part(target, index, part, pictures) for index, part in enumerate(parts))
    names = sorted({name for part in written for name in (part.mesh, part.texture) if name})
    digests = {name: hashlib.sha256((target / name).read_bytes()).hexdigest() for name in names}
    origin = f"{source.library}:{source.path}"
    return asdict(
        MeshAsset(
            identifier=source.identifier,
            kind=kind.identifier,
            held_out=source.held_out,
            licence=source.licence,
            author=source.author,
            source=origin,
            parts=written,
            poses=poses,
            sha256=digests,
        )
    )


def _read_model(archives: dict[Library, ZipFile], source: MeshSource) -> tuple[list[MeshPart], dict[str, Picture]]:
    """Return the parts of a mesh as its author made it, and its pictures by the names that its materials use."""
    if source.library == "primitives":
        return make_primitive(source.path)
    archive = archives[source.library]
    text = archive.read(source.path).decode("utf-8", "replace")
    library = source.path.removesuffix(".obj") + ".mtl"
    materials = archive.read(library).decode("utf-8", "replace") if library in archive.namelist() else ""
    parts = read_wavefront(text, materials)
    files = {part.material.texture: f"{source.path.rsplit('/', 1)[0]}/{part.material.texture}" for part in parts}
    if source.texture:
        files = {source.texture: f"{TEXTURES}/{source.texture}.png"}
        for part in parts:
            part.material.texture = source.texture
    names = set(archive.namelist())
    return parts, {name: _decode(archive.read(path), path) for name, path in files.items() if path in names and name}


def _write_part(target: Path, index: int, part: MeshPart, pictures: dict[str, Picture]) -> PartAsset:
    write_wavefront(two_sided(part), target / f"part{index}.obj")
    picture = pictures.get(part.material.texture)
    if picture is not None:
        _write_picture(picture, target / f"part{index}.png")
    red, green, blue = part.material.colour if picture is None else (1.0, 1.0, 1.0)
    return PartAsset(
        f"part{index}.obj",
        "" if picture is None else f"part{index}.png",
        (red, green, blue, part.material.opacity),
        min(1.0, part.material.specular),
        part.material.shininess,
    )


def _convert_surfaces(folder: Path, wheel: ZipFile) -> list[str]:
    (folder / "surfaces").mkdir(parents=True, exist_ok=True)
    pictures = [Path(name) for name in sorted(wheel.namelist()) if name.startswith(TEXTURES)]
    names = [path.stem for path in pictures if path.suffix == ".png" and path.stem not in OBJECT_TEXTURES]
    for name in names:
        path = folder / "surfaces" / f"{name}.png"
        if not path.exists():
            picture = f"{TEXTURES}/{name}.png"
            _write_picture(_decode(wheel.read(picture), picture), path)
    return names


def _decode(data: bytes, path: str) -> Picture:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise AssetError(f"The texture {path} cannot be read; fetch the assets again into an empty folder.")
    return np.asarray(picture[:, :, ::-1], np.uint8)


def _write_picture(picture: Picture, path: Path) -> None:
    """Write an RGB picture as a PNG of at most ``TEXTURE_PIXELS`` a side."""
    scale = TEXTURE_PIXELS / max(picture.shape[:2])
    if scale < 1.0:
        picture = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    data = cv2.imencode(".png", np.ascontiguousarray(picture[:, :, ::-1]))[1]
    _write_whole(path, data.tobytes())


def _write_whole(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(path.suffix + ".part")
    temporary.write_bytes(data)
    temporary.replace(path)


def _mesh_from(entry: dict[str, Any]) -> MeshAsset:
    values = {key: value for key, value in entry.items() if key != "recipe"}
    values["parts"] = tuple(PartAsset(**{**part, "colour": tuple(part["colour"])}) for part in entry["parts"])
    values["poses"] = tuple(Pose.from_json(pose) for pose in entry["poses"])
    return MeshAsset(**values)
