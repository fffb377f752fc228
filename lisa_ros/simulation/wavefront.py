"""Wavefront OBJ files: read into parts of one material each, written back as plain triangles.

Only what household models use is read: polygons, texture coordinates, normals and flat materials.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lisa_ros.simulation.triangulation import triangulate

CREASE_COSINE = float(np.cos(np.radians(45.0)))
"""Faces that bend more than this at a shared corner keep separate normals."""


@dataclass(slots=True)
class Material:
    """What a surface looks like: ``colour`` RGB, ``opacity``, ``specular`` and ``shininess``, all in [0, 1].

    ``texture`` is the file name of a picture beside the OBJ file, or empty.
    """

    name: str
    colour: tuple[float, float, float] = (0.8, 0.8, 0.8)
    opacity: float = 1.0
    specular: float = 0.0
    shininess: float = 0.0
    texture: str = ""


@dataclass(slots=True)
class MeshPart:
    """Triangles of one named group and one material.

    ``vertices`` and ``normals`` float ``[N, 3]``, ``texture_coordinates`` float ``[N, 2]`` (origin bottom left),
    ``faces`` int ``[M, 3]`` into them.
    """

    group: str
    material: Material
    vertices: NDArray[np.float64]
    normals: NDArray[np.float64]
    texture_coordinates: NDArray[np.float64]
    faces: NDArray[np.int64]


@dataclass(slots=True)
class _Reading:
    """The state of a reader half way through a file."""

    positions: list[list[float]] = field(default_factory=list)
    texture_coordinates: list[list[float]] = field(default_factory=list)
    normals: list[list[float]] = field(default_factory=list)
    corners: dict[tuple[str, str], list[tuple[int, int, int]]] = field(default_factory=dict)
    group: str = ""
    material: str = ""


def read_wavefront(obj_text: str, mtl_text: str) -> list[MeshPart]:
    """Return the parts of an OBJ file and its material library, in the order of the file, in the file's own units."""
    materials = read_materials(mtl_text)
    reading = _Reading()
    for words in _lines_of_words(obj_text):
        _read_line(reading, words)
    return [
        _make_part(reading, group, materials.get(material, Material(material)), corners)
        for (group, material), corners in reading.corners.items()
    ]


def read_materials(mtl_text: str) -> dict[str, Material]:
    """Return the materials of an MTL file by name."""
    materials: dict[str, Material] = {}
    current = Material("")
    for words in _lines_of_words(mtl_text):
        key, values = words[0].lower(), words[1:]
        if key == "newmtl":
            current = materials[" ".join(values)] = Material(" ".join(values))
        elif key == "kd":
            current.colour = (float(values[0]), float(values[1]), float(values[2]))
        elif key == "ks":
            current.specular = float(np.mean([float(value) for value in values[:3]]))
        elif key == "ns":
            current.shininess = min(1.0, float(values[0]) / 128.0)
        elif key == "d":
            current.opacity = float(values[-1])
        elif key == "map_kd":
            current.texture = values[-1]
    return materials


def write_wavefront(part: MeshPart, path: Path) -> None:
    """Write the triangles of one part, without its material; the vertex order is kept."""
    lines = ["v {:.6f} {:.6f} {:.6f}".format(*vertex) for vertex in part.vertices]
    lines += ["vt {:.6f} {:.6f}".format(*coordinate) for coordinate in part.texture_coordinates]
    lines += ["vn {:.4f} {:.4f} {:.4f}".format(*normal) for normal in part.normals]
    lines += ["f {0}/{0}/{0} {1}/{1}/{1} {2}/{2}/{2}".format(*face) for face in (part.faces + 1).tolist()]
    path.write_text("\n".join(lines) + "\n")


def two_sided(part: MeshPart) -> MeshPart:
    """Return the part with every face also seen from behind, each side with normals that point to its viewer.

    Renderers cull back faces, and household models are often open shells with careless winding.
    """
    corners = part.vertices[part.faces]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    agreement = np.einsum("ij,ikj->ik", facing, part.normals[part.faces]).sum(axis=1)
    front = np.where((agreement < 0)[:, None], part.faces[:, ::-1], part.faces)
    return MeshPart(
        part.group,
        part.material,
        np.concatenate([part.vertices, part.vertices]),
        np.concatenate([part.normals, -part.normals]),
        np.concatenate([part.texture_coordinates, part.texture_coordinates]),
        np.concatenate([front, front[:, ::-1] + len(part.vertices)]),
    )


def _lines_of_words(text: str) -> Iterator[list[str]]:
    for line in text.replace("\\\n", " ").splitlines():
        words = line.split("#", 1)[0].split()
        if words:
            yield words


def _read_line(reading: _Reading, words: list[str]) -> None:
    key, values = words[0], words[1:]
    if key == "v":
        reading.positions.append([float(value) for value in values[:3]])
    elif key == "vt":
        reading.texture_coordinates.append([float(value) for value in values[:2]])
    elif key == "vn":
        reading.normals.append([float(value) for value in values[:3]])
    elif key in ("o", "g"):
        reading.group = " ".join(values)
    elif key == "usemtl":
        reading.material = " ".join(values)
    elif key == "f":
        polygon = [_read_corner(reading, value) for value in values]
        corners = reading.corners.setdefault((reading.group, reading.material), [])
        corners += [polygon[number] for triangle in _triangles(reading, polygon) for number in triangle]


def _triangles(reading: _Reading, polygon: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    if len(polygon) <= 4:
        return [(0, number, number + 1) for number in range(1, len(polygon) - 1)]
    return triangulate(np.array([reading.positions[position] for position, _, _ in polygon]))


def _read_corner(reading: _Reading, word: str) -> tuple[int, int, int]:
    """Return zero-based position, texture and normal indices; -1 where the file gives none."""
    counts = (len(reading.positions), len(reading.texture_coordinates), len(reading.normals))
    texts = [*word.split("/"), "", ""][:3]
    first, second, third = (
        -1 if not text else (int(text) - 1 if int(text) > 0 else count + int(text))
        for text, count in zip(texts, counts, strict=True)
    )
    return first, second, third


def _make_part(reading: _Reading, group: str, material: Material, corners: Iterable[tuple[int, int, int]]) -> MeshPart:
    indices = np.array(list(corners)).reshape(-1, 3, 3)
    positions = np.array(reading.positions)
    indices = indices[_has_area(positions[indices[:, :, 0]])]
    vertices = positions[indices[:, :, 0]]
    coordinates = np.array([*reading.texture_coordinates, [0.0, 0.0]])[indices[:, :, 1]]
    if (indices[:, :, 2] < 0).any():
        normals = _creased_normals(vertices)
    else:
        normals = _unit(np.array(reading.normals)[indices[:, :, 2]])
    return _merge_corners(group, material, vertices, normals, coordinates)


def _merge_corners(
    group: str,
    material: Material,
    vertices: NDArray[np.float64],
    normals: NDArray[np.float64],
    coordinates: NDArray[np.float64],
) -> MeshPart:
    """Make a part of ``[M, 3, ...]`` corners in which equal corners are one vertex."""
    corners = np.concatenate([vertices, normals, coordinates], axis=2).reshape(-1, 8).round(5)
    unique, inverse = np.unique(corners, axis=0, return_inverse=True)
    return MeshPart(group, material, unique[:, :3], unique[:, 3:6], unique[:, 6:], inverse.reshape(-1, 3))


def _has_area(corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.asarray(np.linalg.norm(normal, axis=1) > 1e-12, bool)


def _creased_normals(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return unit normals ``[M, 3, 3]``: area-weighted over the faces at a corner that bend less than the crease."""
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    faces = np.repeat(np.arange(len(corners)), 3)
    _, positions = np.unique(corners.reshape(-1, 3).round(5), axis=0, return_inverse=True)
    shape = (len(faces), int(positions.max()) + 1)
    incidence = sparse.csr_matrix((np.ones(len(faces)), (np.arange(len(faces)), positions.ravel())), shape)
    neighbours = (incidence @ incidence.T).tocoo()
    directions = _unit(facing)
    cosine = np.einsum("ij,ij->i", directions[faces[neighbours.row]], directions[faces[neighbours.col]])
    near = cosine > CREASE_COSINE
    total = np.zeros((len(faces), 3))
    np.add.at(total, neighbours.row[near], facing[faces[neighbours.col[near]]])
    return _unit(total).reshape(-1, 3, 3)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(length > 1e-12, vectors / np.maximum(length, 1e-12), [0.0, 0.0, 1.0])
