"""Plain objects made here because no package has them: a kitchen sponge and closed books.

Their parts are rounded boxes in metres, z up, with pictures that are painted from a fixed seed.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from lisa_ros.simulation.wavefront import Material, MeshPart

Picture = NDArray[np.uint8]
Made = tuple[list[MeshPart], dict[str, Picture]]
ROUND_STEPS = 5
"""Vertices a quarter circle of a rounded edge."""


def make_primitive(name: str) -> Made:
    """Return the parts of the primitive called ``name`` and its pictures, uint8 RGB, by the names its parts use."""
    return PRIMITIVES[name]()


def _sponge() -> Made:
    yellow, green = Material("foam", texture="foam"), Material("scrub", texture="scrub")
    foam = rounded_box((0.110, 0.070, 0.024), 0.006, (0.0, 0.0, 0.012), yellow)
    scrub = rounded_box((0.110, 0.070, 0.010), 0.004, (0.0, 0.0, 0.0285), green)
    pictures = {"foam": _speckled((242, 204, 64), 0.55, 3, 1), "scrub": _speckled((30, 110, 58), 0.6, 1, 2)}
    return [foam, scrub], pictures


def _plain_sponge() -> Made:
    foam = rounded_box((0.125, 0.085, 0.042), 0.012, (0.0, 0.0, 0.021), Material("foam", texture="foam"))
    return [foam], {"foam": _speckled((238, 190, 90), 0.5, 5, 3)}


def _book(size: tuple[float, float, float], colour: tuple[int, int, int], seed: int) -> Made:
    """Make a closed book: a block of pages between two boards, and a spine of the colour of the cover."""
    width, depth, height = size
    board = 0.0025
    paper, cover = Material("pages", texture="pages"), Material("cover", texture="cover")
    cloth = Material("spine", (colour[0] / 255.0, colour[1] / 255.0, colour[2] / 255.0))
    pages = rounded_box((width - 0.008, depth - 0.010, height - 2 * board), 0.001, (0.0, 0.0, height / 2.0), paper)
    boards = [
        rounded_box((width, depth, board), 0.001, (0.0, 0.0, middle), cover)
        for middle in (board / 2.0, height - board / 2.0)
    ]
    spine = rounded_box((0.004, depth, height), 0.002, (-width / 2.0, 0.0, height / 2.0), cloth)
    return [pages, *boards, spine], {"pages": _page_edges(), "cover": _book_cover(colour, seed)}


PRIMITIVES: dict[str, Callable[[], Made]] = {
    "sponge": _sponge,
    "plain_sponge": _plain_sponge,
    "thick_book": lambda: _book((0.150, 0.215, 0.038), (120, 40, 45), 4),
    "thin_book": lambda: _book((0.170, 0.240, 0.016), (40, 70, 130), 5),
    "pocket_book": lambda: _book((0.110, 0.175, 0.025), (50, 110, 70), 6),
}
"""Name -> function that makes the primitive."""


def rounded_box(
    size: tuple[float, float, float], radius: float, middle: tuple[float, float, float], material: Material
) -> MeshPart:
    """Return a box of ``size`` metres around ``middle`` whose edges are round; each face shows the whole picture."""
    half = np.array(size) / 2.0
    inner = np.maximum(half - radius, 0.0)
    bend = np.tan(np.linspace(-np.pi / 4.0, np.pi / 4.0, ROUND_STEPS))
    ticks = np.concatenate([bend[bend <= 0] - 1.0, bend[bend >= 0] + 1.0])
    across, along = np.meshgrid(ticks, ticks, indexing="ij")
    faces = [_box_side(axis, sign, across, along, inner, radius) for axis in range(3) for sign in (-1.0, 1.0)]
    count = across.size
    grid = _grid_faces(len(ticks))
    return MeshPart(
        material.name,
        material,
        np.concatenate([vertices for vertices, _, _ in faces]) + np.array(middle),
        np.concatenate([normals for _, normals, _ in faces]),
        np.concatenate([coordinates for _, _, coordinates in faces]),
        np.concatenate([grid + number * count for number in range(6)]),
    )


def _box_side(
    axis: int,
    sign: float,
    across: NDArray[np.float64],
    along: NDArray[np.float64],
    inner: NDArray[np.float64],
    radius: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return vertices, normals and texture coordinates of one side: a corner's sphere where ticks pass the core."""
    cube = np.zeros((across.size, 3))
    first, second = [other for other in range(3) if other != axis]
    cube[:, axis] = 2.0 * sign
    cube[:, first], cube[:, second] = across.ravel(), along.ravel()
    core = np.clip(cube, -1.0, 1.0)
    normals = cube - core
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    vertices = core * inner + radius * normals
    spans = inner[[first, second]] + radius
    return vertices, normals, 0.5 + 0.5 * vertices[:, [first, second]] / spans


def _grid_faces(side: int) -> NDArray[np.int64]:
    numbers = np.arange(side * side).reshape(side, side)
    first, second = numbers[:-1, :-1].ravel(), numbers[1:, :-1].ravel()
    third, fourth = numbers[1:, 1:].ravel(), numbers[:-1, 1:].ravel()
    return np.concatenate([np.stack([first, second, third], 1), np.stack([first, third, fourth], 1)])


def _speckled(colour: tuple[int, int, int], dark: float, radius: int, seed: int) -> Picture:
    """Paint pores of about ``radius`` pixels that are ``dark`` times as bright as the rest."""
    noise = np.random.default_rng(seed).uniform(size=(256, 256)).astype(np.float32)
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), radius))
    pores = smooth < np.quantile(smooth, 0.18)
    shade = np.where(pores, dark, 0.9 + 0.1 * noise)[..., None]
    return np.asarray(np.clip(shade * np.array(colour), 0, 255), np.uint8)


def _page_edges() -> Picture:
    lines = np.random.default_rng(7).uniform(0.78, 1.0, (1, 128, 1))
    return np.asarray(np.broadcast_to(lines * np.array([238, 232, 214]), (128, 128, 3)), np.uint8).copy()


def _book_cover(colour: tuple[int, int, int], seed: int) -> Picture:
    """Paint a cover with a frame, a title of bars and a round picture."""
    random = np.random.default_rng(seed)
    picture = np.full((256, 192, 3), colour, np.uint8)
    ink = tuple(int(value) for value in random.integers(190, 256, 3))
    cv2.rectangle(picture, (12, 12), (179, 243), ink, 2)
    for row, width in ((50, 110), (72, 80)):
        cv2.rectangle(picture, (96 - width // 2, row), (96 + width // 2, row + 12), ink, -1)
    cv2.circle(picture, (96, 160), 42, tuple(int(value) for value in random.integers(60, 256, 3)), -1)
    return picture
