"""A tabletop scene as Mitsuba 3 takes it: camera, room, table and objects with their materials."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lisa_ros.simulation.assets import AssetCache
from lisa_ros.simulation.photo_lights import photo_lights
from lisa_ros.simulation.photo_materials import flat_colour, glossy, part_material, picture_colour
from lisa_ros.simulation.rendering import FLOOR_HEIGHT, TABLE_THICKNESS, WALL_HEIGHT
from lisa_ros.simulation.scenes import Camera, PlacedObject, Scene, Surface, Table, object_transform
from lisa_ros.simulation.surfaces import mean_colour, paint

SURFACE_PIXELS = {"table": 2048, "floor": 512, "wall": 512}
MAX_DEPTH, ROULETTE_DEPTH = 8, 3
CHANNELS = "albedo:albedo,normal:sh_normal,depth:depth"
MITSUBA_CAMERA = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Mitsuba's cameras have x to the left and y up; optical frames have x to the right and y down."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Triangles as Mitsuba's OBJ reader gives them: float ``[N, 3]``, ``[N, 3]``, ``[N, 2]`` and int ``[M, 3]``."""

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    texture_coordinates: NDArray[np.float32]
    faces: NDArray[np.uint32]


class PhotoSceneLoader:
    """Makes Mitsuba scenes with the objects of one asset cache; every mesh is read once."""

    def __init__(self, assets: AssetCache, mitsuba: Any) -> None:
        """Keep the module ``mitsuba``, whose variant must be set already."""
        self.assets, self._mitsuba = assets, mitsuba
        self._shapes: dict[Path, Shape] = {}

    def load(self, scene: Scene) -> Any:
        """Return the Mitsuba scene; the shapes of object i are called ``object{i}_{part}``."""
        described: dict[str, Any] = {
            "type": "scene",
            "integrator": {
                "type": "aov",
                "aovs": CHANNELS,
                "path": {"type": "path", "max_depth": MAX_DEPTH, "rr_depth": ROULETTE_DEPTH},
            },
            "camera": self._camera(scene.camera),
            **photo_lights(scene, self._mitsuba),
            **self._room(scene),
            **self._table(scene.table),
        }
        for number, placed in enumerate(scene.objects):
            described.update(self._object(number, placed))
        return self._mitsuba.load_dict(described)

    def _camera(self, camera: Camera) -> dict[str, Any]:
        film = {
            "type": "hdrfilm",
            "width": camera.width,
            "height": camera.height,
            "pixel_format": "rgb",
            "component_format": "float32",
            "filter": {"type": "box"},
        }
        return {
            "type": "perspective",
            "fov": float(np.degrees(camera.field_of_view)),
            "fov_axis": "x",
            "near_clip": 0.02,
            "to_world": self._transform(camera.pose @ MITSUBA_CAMERA),
            "film": film,
            "sampler": {"type": "independent"},
        }

    def _room(self, scene: Scene) -> dict[str, Any]:
        room, span = scene.room, 2.0 * scene.room.distance
        floor = self._surface(room.floor, span, span, "floor")
        wall = self._surface(room.wall, span, WALL_HEIGHT, "wall")
        below = (0.0, 0.0, FLOOR_HEIGHT)
        shapes = {"floor": self._rectangle(np.eye(3), below, room.distance, room.distance, floor)}
        for turn in range(4):
            angle = turn * np.pi / 2.0
            inward = np.array([-np.cos(angle), -np.sin(angle), 0.0])
            frame = np.stack([np.cross([0.0, 0.0, 1.0], inward), [0.0, 0.0, 1.0], inward], axis=1)
            middle = -room.distance * inward + [0.0, 0.0, FLOOR_HEIGHT + WALL_HEIGHT / 2.0]
            shapes[f"wall{turn}"] = self._rectangle(frame, middle, room.distance, WALL_HEIGHT / 2.0, wall)
        return shapes

    def _table(self, table: Table) -> dict[str, Any]:
        picture = paint(table.surface, table.width, table.depth, SURFACE_PIXELS["table"], self.assets)
        top = glossy(picture_colour(picture, self._mitsuba), 0.7 - 1.4 * table.gloss, 0.2 + table.gloss)
        edge = glossy(flat_colour(0.7 * np.array(mean_colour(picture))), 0.6, 0.2)
        half = np.array([table.width, table.depth, TABLE_THICKNESS]) / 2.0
        board = self._transform(placed_at(np.diag(half), (0.0, 0.0, -half[2] - 0.001)))
        return {
            "top": self._rectangle(np.eye(3), (0.0, 0.0, 0.0), half[0], half[1], top),
            "board": {"type": "cube", "to_world": board, "material": edge},
        }

    def _surface(self, surface: Surface, width: float, height: float, name: str) -> dict[str, Any]:
        picture = paint(surface, width, height, SURFACE_PIXELS[name], self.assets)
        return glossy(picture_colour(picture, self._mitsuba), 0.7, 0.2)

    def _rectangle(
        self, frame: NDArray[np.float64], middle: Any, half_width: float, half_height: float, material: dict[str, Any]
    ) -> dict[str, Any]:
        sides = frame @ np.diag([half_width, half_height, 1.0])
        return {"type": "rectangle", "to_world": self._transform(placed_at(sides, middle)), "material": material}

    def _object(self, number: int, placed: PlacedObject) -> dict[str, Any]:
        mesh = self.assets.meshes[placed.mesh]
        rest = mesh.poses[placed.pose]
        transform = object_transform(placed, np.array(rest.rotation), np.array(rest.offset))
        shapes = {}
        for index, (part, colour) in enumerate(zip(mesh.parts, placed.colours, strict=True)):
            name = f"object{number}_{index}"
            material = part_material(mesh, part, colour, self.assets, self._mitsuba)
            shape = self._shape(self.assets.part_path(mesh, part.mesh))
            shapes[name] = self._mesh(name, shape, transform, material)
        return shapes

    def _mesh(self, name: str, shape: Shape, transform: NDArray[np.float64], material: dict[str, Any]) -> Any:
        properties = self._mitsuba.Properties()
        properties["material"] = self._mitsuba.load_dict(material)
        counts = {"vertex_count": len(shape.vertices), "face_count": len(shape.faces)}
        layout = {"has_vertex_normals": True, "has_vertex_texcoords": True}
        mesh = self._mitsuba.Mesh(name, **counts, **layout, props=properties)
        parameters = self._mitsuba.traverse(mesh)
        vertices = shape.vertices @ transform[:3, :3].T + transform[:3, 3]
        normals = shape.normals @ transform[:3, :3].T
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        parameters["vertex_positions"] = vertices.astype(np.float32).ravel()
        parameters["vertex_normals"] = normals.astype(np.float32).ravel()
        parameters["vertex_texcoords"] = shape.texture_coordinates.ravel()
        parameters["faces"] = shape.faces.ravel()
        parameters.update()
        return mesh

    def _shape(self, path: Path) -> Shape:
        if path not in self._shapes:
            self._shapes[path] = self._read(path)
        return self._shapes[path]

    def _read(self, path: Path) -> Shape:
        """Read the front of a mesh: the second half of the cache's triangles are the same ones seen from behind."""
        parameters = self._mitsuba.traverse(self._mitsuba.load_dict({"type": "obj", "filename": str(path)}))
        faces = np.array(parameters["faces"], np.uint32).reshape(-1, 3)
        faces = faces[: len(faces) // 2]
        count = int(faces.max()) + 1
        vertices, normals, coordinates = (
            np.array(parameters[name], np.float32).reshape(-1, width)[:count]
            for name, width in (("vertex_positions", 3), ("vertex_normals", 3), ("vertex_texcoords", 2))
        )
        return Shape(vertices, normals, coordinates, faces)

    def _transform(self, matrix: NDArray[np.float64]) -> Any:
        return self._mitsuba.ScalarTransform4f(matrix)


def placed_at(sides: NDArray[np.float64], middle: Any) -> NDArray[np.float64]:
    """Return the 4x4 transform with this 3x3 part that moves the origin to ``middle``."""
    transform = np.eye(4)
    transform[:3, :3], transform[:3, 3] = sides, middle
    return transform
