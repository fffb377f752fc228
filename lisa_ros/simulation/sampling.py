"""Scenes at random: the same (seed, index) always gives the same scene."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lisa_ros.simulation.assets import AssetCache, MeshAsset
from lisa_ros.simulation.kinds import KINDS, Kind, Recolour, kind_of
from lisa_ros.simulation.placement import Footprint, inside_table, overlap, table_point
from lisa_ros.simulation.scenes import (
    Camera,
    Colour,
    Exposure,
    Light,
    Paint,
    PlacedObject,
    Room,
    Scene,
    Surface,
    Table,
    Vector,
)
from lisa_ros.simulation.surfaces import PATTERNS

Meshes = Literal["train", "held_out", "all"]
CLUTTERED = 0.25
TRIES = 120
LEAST_OPACITY = 0.25
"""Clearer glass than this could not be seen by anyone."""


@dataclass(frozen=True, slots=True)
class SceneSampler:
    """Makes scenes of ``width`` x ``height`` pixels from the objects of an asset cache.

    ``meshes`` "train" leaves the held-out meshes out, "held_out" takes them wherever a kind has one, "all" takes any.
    """

    assets: AssetCache
    seed: int
    width: int
    height: int
    meshes: Meshes = "train"

    def sample(self, index: int) -> Scene:
        """Return scene ``index``; it depends on nothing but the fields of this sampler and the index."""
        random = np.random.default_rng([self.seed, index])
        cluttered = bool(random.uniform() < CLUTTERED)
        camera = _camera(random, self.width, self.height)
        table = _table(random, self.assets)
        return Scene(
            camera,
            _lights(random, camera),
            _ambient(random),
            table,
            _room(random, self.assets),
            self._objects(random, camera, table, cluttered),
            _exposure(random),
        )

    def _objects(
        self, random: np.random.Generator, camera: Camera, table: Table, cluttered: bool
    ) -> tuple[PlacedObject, ...]:
        placed: list[PlacedObject] = []
        taken: list[Footprint] = []
        for kind in _kinds(random, cluttered):
            mesh = self._mesh(random, kind)
            found = _place(random, mesh, camera, table, taken, cluttered)
            if found is not None:
                placed.append(found[0])
                taken.append(found[1])
        return tuple(placed)

    def _mesh(self, random: np.random.Generator, kind: Kind) -> MeshAsset:
        own = [self.assets.meshes[source.identifier] for source in kind.meshes]
        if self.meshes == "train":
            own = [mesh for mesh in own if not mesh.held_out]
        elif self.meshes == "held_out":
            own = [mesh for mesh in own if mesh.held_out] or own
        return own[int(random.integers(len(own)))]


def _kinds(random: np.random.Generator, cluttered: bool) -> list[Kind]:
    """Return the kinds of a scene's objects: mostly different, sometimes two or three of one kind."""
    count = int(random.integers(8, 13) if cluttered else random.integers(5, 11))
    chosen = [KINDS[index] for index in random.permutation(len(KINDS))[:count]]
    if random.uniform() < 0.3:
        chosen[-1] = chosen[0]
        if random.uniform() < 0.4:
            chosen[-2] = chosen[0]
    return chosen


def _place(
    random: np.random.Generator,
    mesh: MeshAsset,
    camera: Camera,
    table: Table,
    taken: list[Footprint],
    cluttered: bool,
) -> tuple[PlacedObject, Footprint] | None:
    """Find a free place for a mesh; None if there is none after some tries."""
    pose = int(random.integers(1, len(mesh.poses))) if len(mesh.poses) > 1 and random.uniform() < 0.25 else 0
    scale = float(random.uniform(0.88, 1.12))
    colours = _colours(random, mesh, kind_of(mesh.kind).recolour)
    gap = 0.003 if cluttered else 0.02
    spread = 0.22 if cluttered else 0.36
    for _ in range(TRIES):
        column, row = (0.5 + spread * random.uniform(-1.2, 1.2, 2)) * [camera.width, camera.height]
        point = table_point(camera, float(column), float(row))
        yaw = float(random.uniform(0.0, 2.0 * np.pi))
        if point is None:
            continue
        x, y = float(point[0]), float(point[1])
        width, depth, _ = (scale * side for side in mesh.poses[pose].size)
        footprint = Footprint(x, y, yaw, width, depth)
        free = not any(overlap(footprint, other, gap) for other in taken)
        if free and inside_table(footprint, table.width, table.depth):
            return PlacedObject(mesh.kind, mesh.identifier, pose, x, y, yaw, scale, colours), footprint
    return None


def _camera(random: np.random.Generator, width: int, height: int) -> Camera:
    distance, pitch = random.uniform(0.55, 1.1), np.radians(random.uniform(25.0, 70.0))
    azimuth = random.uniform(0.0, 2.0 * np.pi)
    target = (float(random.uniform(-0.1, 0.1)), float(random.uniform(-0.1, 0.1)), float(random.uniform(0.0, 0.08)))
    position = (
        target[0] + float(distance * np.cos(pitch) * np.cos(azimuth)),
        target[1] + float(distance * np.cos(pitch) * np.sin(azimuth)),
        target[2] + float(distance * np.sin(pitch)),
    )
    roll = float(np.radians(random.normal(0.0, 2.0)))
    return Camera(position, target, roll, float(np.radians(random.uniform(42.0, 65.0))), width, height)


def _lights(random: np.random.Generator, camera: Camera) -> tuple[Light, ...]:
    """Return one to three lamps, and last the soft light that a room throws back from the viewer's side."""
    count = int(random.integers(1, 4))
    power = random.uniform(0.5, 0.9) / count**0.75
    lamps = [_light(random, float(power * random.uniform(0.6, 1.3)), number == 0) for number in range(count)]
    back = -camera.pose[:3, 2] * [1.0, 1.0, 0.0] + random.normal(0.0, 0.4, 3) + [0.0, 0.0, 0.6]
    back /= np.linalg.norm(back)
    return (*lamps, Light(_triple(-back), _triple(np.full(3, random.uniform(0.05, 0.2))), False))


def _light(random: np.random.Generator, power: float, main: bool) -> Light:
    slope, azimuth = np.radians(random.uniform(30.0, 88.0)), random.uniform(0.0, 2.0 * np.pi)
    direction: Vector = (
        float(-np.cos(slope) * np.cos(azimuth)),
        float(-np.cos(slope) * np.sin(azimuth)),
        float(-np.sin(slope)),
    )
    warmth = float(random.uniform(-0.12, 0.22))
    colour = (power * (1.0 + 0.5 * warmth), power, power * (1.0 - warmth))
    shadow = bool(random.uniform() < (0.75 if main else 0.3))
    if random.uniform() < 0.5:
        return Light(direction, colour, shadow)
    distance = random.uniform(1.2, 2.5)
    return Light(direction, colour, shadow, _triple(-distance * np.array(direction)))


def _ambient(random: np.random.Generator) -> Colour:
    level, warmth = random.uniform(0.2, 0.42), random.uniform(-0.08, 0.08)
    return float(level * (1.0 + warmth)), float(level), float(level * (1.0 - warmth))


def _table(random: np.random.Generator, assets: AssetCache) -> Table:
    surface = _surface(random, assets, (0.06, 0.6))
    width, depth = float(random.uniform(0.9, 2.2)), float(random.uniform(0.8, 1.7))
    return Table(width, depth, surface, float(random.choice([0.0, 0.1, 0.3])))


def _room(random: np.random.Generator, assets: AssetCache) -> Room:
    floor = _surface(random, assets, (0.3, 1.5))
    return Room(floor, _surface(random, assets, (0.5, 2.0)), float(random.uniform(1.3, 4.0)))


def _surface(random: np.random.Generator, assets: AssetCache, period: tuple[float, float]) -> Surface:
    seed, angle = int(random.integers(2**31)), float(random.uniform(0.0, 2.0 * np.pi))
    size = float(np.exp(random.uniform(*np.log(period))))
    if random.uniform() < 0.55:
        pattern = assets.surfaces[int(random.integers(len(assets.surfaces)))]
        bright = random.uniform(0.6, 1.1) * (1.0 + random.uniform(-0.12, 0.12, 3))
        return Surface(pattern, _triple(bright), (0.0, 0.0, 0.0), max(size, 0.3), angle, seed)
    pattern = PATTERNS[int(random.integers(len(PATTERNS)))]
    first = random_colour(random, 0.7)
    another = random.uniform() < 0.5
    second = random_colour(random, 0.7) if another else _triple(np.array(first) * random.uniform(0.5, 0.9))
    return Surface(pattern, first, second, size, angle, seed)


def _exposure(random: np.random.Generator) -> Exposure:
    gain = random.uniform(0.92, 1.08, 3) * random.uniform(0.95, 1.25)
    gamma, noise = float(random.uniform(0.8, 1.2)), float(random.uniform(0.0, 4.0))
    return Exposure(_triple(gain), gamma, noise, int(random.integers(2**31)))


def _colours(random: np.random.Generator, mesh: MeshAsset, recolour: Recolour) -> tuple[Paint, ...]:
    """Return RGBA a part: a new paint for the coloured parts of some objects, a new shade for all others."""
    spread = 0.14 if recolour == "tint" else 0.05
    paint = np.array(random_colour(random, 0.9)) if recolour == "any" and random.uniform() < 0.65 else None
    shade = random.uniform(0.75, 1.15) * (1.0 + random.uniform(-spread, spread, 3))
    colours = []
    for part in mesh.parts:
        colour, opacity = np.array(part.colour[:3]), part.colour[3]
        if paint is not None and opacity > 0.5:
            colour = 0.35 + 0.65 * paint if part.texture else paint * (0.4 + 0.6 * float(colour.max()))
        else:
            colour = colour * shade
        colours.append((*_triple(np.clip(colour, 0.01, 1.0)), max(LEAST_OPACITY, opacity)))
    return tuple(colours)


def random_colour(random: np.random.Generator, saturation: float) -> Colour:
    """Return an RGB colour in [0, 1] of any hue, mostly not too dark, at most this saturated."""
    return colorsys.hsv_to_rgb(random.uniform(), random.uniform(0.0, saturation), random.uniform(0.2, 1.0))


def _triple(values: object) -> Colour:
    red, green, blue = np.asarray(values, float)
    return float(red), float(green), float(blue)
