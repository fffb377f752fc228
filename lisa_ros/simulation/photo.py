"""Scenes drawn like photographs by Mitsuba 3's path tracer; ids and depth of the same pose come from MuJoCo."""

from __future__ import annotations

import importlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lisa_ros.simulation.assets import AssetCache
from lisa_ros.simulation.developing import Traced, develop, smooth
from lisa_ros.simulation.photo_scene import PhotoSceneLoader
from lisa_ros.simulation.scenes import Scene
from lisa_ros.simulation.sources import AssetError

Variant = Literal["scalar_rgb", "llvm_ad_rgb"]
OLDEST_LLVM = 16


class PhotoRenderer:
    """Draws scenes with the objects of one asset cache, ``samples`` paths a pixel."""

    def __init__(self, assets: AssetCache, samples: int, variant: Variant = "scalar_rgb") -> None:
        """Load Mitsuba; meshes are read when a scene first shows them."""
        self.samples = samples
        self._mitsuba = load_mitsuba(variant)
        self._loader = PhotoSceneLoader(assets, self._mitsuba)

    def render(self, scene: Scene) -> NDArray[np.uint8]:
        """Return the uint8 ``[H, W, 3]`` picture of a scene."""
        return develop(smooth(self.trace(scene)), scene.exposure)

    def trace(self, scene: Scene) -> Traced:
        """Return the light that reaches every pixel, with its noise."""
        loaded = self._loader.load(scene)
        image = self._mitsuba.render(loaded, spp=self.samples, seed=scene.exposure.seed)
        channels = np.nan_to_num(np.array(image, np.float32), posinf=0.0, neginf=0.0)
        light, albedo, normals = channels[..., :3], channels[..., 3:6], channels[..., 6:9]
        return Traced(light, albedo, normals, channels[..., 9], self.samples)


def load_mitsuba(variant: Variant) -> Any:
    """Return the mitsuba module set to ``variant``; raises ``AssetError`` with the remedy if that cannot be had.

    "scalar_rgb" runs everywhere; "llvm_ad_rgb" is several times faster and needs LLVM's shared library.
    Either runs on one thread: frames are made in parallel by processes.
    """
    try:
        mitsuba = importlib.import_module("mitsuba")
        mitsuba.set_variant(variant)
        importlib.import_module("drjit").set_thread_count(1)
    except ImportError as error:
        raise AssetError(f"Mitsuba cannot be used ({error}); install it with `pip install mitsuba`.") from error
    if variant == "llvm_ad_rgb":
        _check_llvm()
    return mitsuba


def _check_llvm() -> None:
    """LLVM 14 and 15 abort the whole process while they compile Mitsuba's kernels, so they are refused beforehand."""
    remedy = f"set DRJIT_LIBLLVM_PATH to the libLLVM.so of LLVM {OLDEST_LLVM} or newer, or use --renderer mitsuba"
    version = importlib.import_module("drjit").detail.llvm_version()
    if version[0] < OLDEST_LLVM:
        raise AssetError(f"Mitsuba found LLVM {'.'.join(map(str, version))}, which is too old for it; {remedy}.")
