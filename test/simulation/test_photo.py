"""Photo-like frames drawn for real, 64 x 48 pixels; skipped where Mitsuba or the objects are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lisa_ros.simulation import photo
from lisa_ros.simulation.assets import AssetCache
from lisa_ros.simulation.frames import FrameFolder, read_info
from lisa_ros.simulation.generation import Generation, generate, missing_frames
from lisa_ros.simulation.photo import PhotoRenderer, load_mitsuba
from lisa_ros.simulation.photo_scene import PhotoSceneLoader
from lisa_ros.simulation.rendering import Renderer
from lisa_ros.simulation.sampling import SceneSampler
from lisa_ros.simulation.sources import AssetError

pytest.importorskip("mitsuba")
WIDTH, HEIGHT = 64, 48


def order(folder: Path, assets: AssetCache, renderer: Any = "mitsuba") -> Generation:
    return Generation(folder, assets.folder, 2, 11, WIDTH, HEIGHT, "all", True, renderer, samples=4)


@pytest.fixture(scope="module")
def made(real_assets: AssetCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    generation = order(tmp_path_factory.mktemp("photos"), real_assets)
    assert list(generate(generation, missing_frames(generation), workers=1)) == [0, 1]
    return generation.folder


def seen_objects(loaded: Any, mitsuba: Any) -> np.ndarray:
    """Return for the middle of every pixel which object its ray meets, counted from 1."""
    ids = np.zeros((HEIGHT, WIDTH), int)
    camera = loaded.sensors()[0]
    for row in range(HEIGHT):
        for column in range(WIDTH):
            place = mitsuba.Point2f((column + 0.5) / WIDTH, (row + 0.5) / HEIGHT)
            ray, _ = camera.sample_ray(0.0, 0.5, place, mitsuba.Point2f(0.5, 0.5))
            met = loaded.ray_intersect(ray)
            name = met.shape.id() if met.is_valid() else ""
            if name.startswith("object"):
                ids[row, column] = int(name.removeprefix("object").split("_")[0]) + 1
    return ids


@pytest.mark.parametrize("index", [0, 1])
def test_both_renderers_put_every_object_on_the_same_pixels(index: int, real_assets: AssetCache) -> None:
    scene = SceneSampler(real_assets, 11, WIDTH, HEIGHT, "all").sample(index)
    mitsuba = load_mitsuba("scalar_rgb")
    traced = seen_objects(PhotoSceneLoader(real_assets, mitsuba).load(scene), mitsuba)
    drawn = Renderer(real_assets, WIDTH, HEIGHT).render(scene).instance_ids
    assert drawn.max() > 0
    for number in np.unique(drawn[drawn > 0]):
        both, either = (traced == number) & (drawn == number), (traced == number) | (drawn == number)
        if either.sum() >= 30:
            assert both.sum() >= 0.97 * either.sum(), scene.objects[number - 1]


def test_only_the_colours_differ_from_the_plain_renderer(made: Path, real_assets: AssetCache, tmp_path: Path) -> None:
    generation = order(tmp_path, real_assets, "mujoco")
    list(generate(generation, missing_frames(generation), workers=1))
    for traced, plain in zip(FrameFolder(made), FrameFolder(tmp_path), strict=True):
        assert np.array_equal(traced.instance_ids, plain.instance_ids)
        assert np.array_equal(traced.depth, plain.depth)
        assert not np.array_equal(traced.rgb, plain.rgb)
        assert [item.mesh for item in traced.objects] == [item.mesh for item in plain.objects]


def test_the_folder_says_how_it_was_made(made: Path) -> None:
    info = read_info(made)
    assert (info.renderer, info.samples) == ("mitsuba", 4)


def test_the_same_seed_and_index_give_the_same_photo(made: Path, real_assets: AssetCache, tmp_path: Path) -> None:
    generation = order(tmp_path, real_assets)
    missing_frames(generation)
    assert list(generate(generation, [1], workers=1)) == [1]
    assert (tmp_path / "frames" / "000001.jpg").read_bytes() == (made / "frames" / "000001.jpg").read_bytes()
    assert missing_frames(generation) == [0]


def test_a_photo_is_neither_dark_nor_burnt_out(real_assets: AssetCache) -> None:
    renderer = PhotoRenderer(real_assets, samples=4)
    for index in range(3):
        picture = renderer.render(SceneSampler(real_assets, 12, WIDTH, HEIGHT).sample(index))
        assert 50 < picture.mean() < 205
        assert (picture == 255).all(axis=2).mean() < 0.2


def test_no_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="samples is 0"):
        Generation(tmp_path, tmp_path, 1, 0, samples=0)


def test_an_llvm_that_cannot_be_used_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo, "OLDEST_LLVM", 999)
    with pytest.raises(AssetError, match="too old|cannot be used"):
        load_mitsuba("llvm_ad_rgb")
    load_mitsuba("scalar_rgb")
