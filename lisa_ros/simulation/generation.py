"""From (seed, index) to frames on disk, over several processes, continued where an earlier run stopped."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache as remembered
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lisa_ros.answers import box_of
from lisa_ros.simulation.assets import AssetCache, load_assets
from lisa_ros.simulation.frames import (
    DatasetInfo,
    Frame,
    FrameCamera,
    FrameObject,
    finished_frames,
    start_folder,
    write_frame,
)
from lisa_ros.simulation.photo import PhotoRenderer, Variant
from lisa_ros.simulation.rendering import Rendered, Renderer
from lisa_ros.simulation.sampling import Meshes, SceneSampler
from lisa_ros.simulation.scenes import PlacedObject, Scene, object_transform

RendererName = Literal["mujoco", "mitsuba", "mitsuba_llvm"]
VARIANTS: dict[RendererName, Variant] = {"mitsuba": "scalar_rgb", "mitsuba_llvm": "llvm_ad_rgb"}
"""The renderers that trace light, by name."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A set of frames to make: ``frames`` of them from ``seed``, ``width`` x ``height`` pixels, into ``folder``.

    ``renderer`` draws the colours; "mujoco" is fast, the others trace ``samples`` light paths a pixel.
    """

    folder: Path
    assets: Path
    frames: int
    seed: int
    width: int = 448
    height: int = 336
    meshes: Meshes = "train"
    depth: bool = False
    renderer: RendererName = "mujoco"
    samples: int = 12

    def __post_init__(self) -> None:
        """Reject values that no frames can be made with."""
        if self.frames < 1:
            raise ValueError(f"The number of frames is {self.frames}; it must be 1 or more.")
        if self.seed < 0:
            raise ValueError(f"The seed is {self.seed}; it must be 0 or more.")
        if min(self.width, self.height) < 32 or max(self.width, self.height) > 4096:
            raise ValueError(f"The size is {self.width}x{self.height}; each side must be 32 to 4096 pixels.")
        if self.samples < 1:
            raise ValueError(f"The number of samples is {self.samples}; it must be 1 or more.")

    @property
    def info(self) -> DatasetInfo:
        """What ``dataset.json`` says of these frames."""
        samples = self.samples if self.renderer in VARIANTS else 0
        size = (self.width, self.height)
        return DatasetInfo(self.seed, self.meshes, *size, self.depth, self.renderer, samples=samples)


def missing_frames(generation: Generation) -> list[int]:
    """Make the folder and return the indices that are not finished; raises ``FrameError`` if it holds other frames."""
    start_folder(generation.folder, generation.info)
    finished = set(finished_frames(generation.folder))
    return [index for index in range(generation.frames) if index not in finished]


def generate(generation: Generation, indices: list[int], workers: int) -> Iterator[int]:
    """Make these frames in ``workers`` processes and yield each index as it is finished."""
    if workers <= 1:
        for index in indices:
            yield make_frame_file(generation, index)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = [pool.submit(make_frame_file, generation, index) for index in indices]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def make_frame_file(generation: Generation, index: int) -> int:
    """Make one frame and write it; the renderers are kept for the next one of the same process."""
    assets = load_assets(generation.assets)
    sampler = SceneSampler(assets, generation.seed, generation.width, generation.height, generation.meshes)
    scene = sampler.sample(index)
    rendered = _renderer(generation.assets, generation.width, generation.height).render(scene, generation.depth)
    if generation.renderer in VARIANTS:
        photo = _photo_renderer(generation.assets, generation.samples, VARIANTS[generation.renderer])
        rendered = replace(rendered, rgb=photo.render(scene))
    write_frame(generation.folder, index, describe(scene, rendered, assets))
    return index


@remembered
def _renderer(assets: Path, width: int, height: int) -> Renderer:
    return Renderer(load_assets(assets), width, height)


@remembered
def _photo_renderer(assets: Path, samples: int, variant: Variant) -> PhotoRenderer:
    return PhotoRenderer(load_assets(assets), samples, variant)


def describe(scene: Scene, rendered: Rendered, assets: AssetCache) -> Frame:
    """Return a drawn scene with what is known of its objects."""
    camera = FrameCamera(scene.camera.matrix, scene.camera.pose, scene.camera.width, scene.camera.height)
    objects = tuple(
        _describe_object(placed, rendered.instance_ids == number + 1, camera, assets)
        for number, placed in enumerate(scene.objects)
    )
    return Frame(rendered.rgb, rendered.instance_ids, objects, camera, rendered.depth)


def _describe_object(
    placed: PlacedObject, mask: NDArray[np.bool_], camera: FrameCamera, assets: AssetCache
) -> FrameObject:
    mesh = assets.meshes[placed.mesh]
    rest = mesh.poses[placed.pose]
    pose = object_transform(placed, np.array(rest.rotation), np.array(rest.offset))
    pose[:3, :3] /= placed.scale
    width, depth, height = (placed.scale * side for side in mesh.poses[0].size)
    seen = np.linalg.inv(camera.pose) @ pose
    return FrameObject(
        placed.kind, placed.mesh, pose, seen, (width, depth, height), int(np.count_nonzero(mask)), box_of(mask)
    )
