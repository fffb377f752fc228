from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lisa_ros.node.demo.errors import DemoError
from lisa_ros.node.demo.photo import LONGEST_SIDE, make_photo_folder, read_photo


def test_a_turned_photo_is_upright(tmp_path: Path) -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30] = 255
    exif = Image.Exif()
    exif[0x112] = 6  # orientation: turn by 90 degrees clockwise to see it upright
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    rgb = read_photo(tmp_path / "photo.png")
    assert rgb.shape == (60, 40, 3)
    assert rgb[:25].min() == 255 and rgb[35:].max() == 0


def test_large_photos_shrink_and_keep_their_shape(tmp_path: Path) -> None:
    Image.new("L", (3000, 1500), 77).save(tmp_path / "photo.jpg")
    rgb = read_photo(tmp_path / "photo.jpg")
    assert rgb.shape == (LONGEST_SIDE // 2, LONGEST_SIDE, 3) and abs(int(rgb.mean()) - 77) <= 1


def test_transparency_becomes_white_and_deep_pictures_keep_their_contrast(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_photo(tmp_path / "clear.png") == 255).all()
    Image.fromarray(np.array([[0, 30000, 60000]], np.uint16)).save(tmp_path / "deep.png")
    assert read_photo(tmp_path / "deep.png")[0, :, 0].tolist() == [0, 127, 255]


def test_a_photo_becomes_one_frame_of_an_uncalibrated_camera(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10), "navy").save(tmp_path / "photo.png")
    folder = make_photo_folder(tmp_path / "photo.png", tmp_path / "frames")
    assert len(folder) == 1 and folder[0].rgb.shape == (10, 20, 3)
    assert not folder[0].camera.matrix.any() and folder[0].depth is None


@pytest.mark.parametrize("content", [None, b"", b"no picture at all"])
def test_what_is_no_photo_gives_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "photo.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DemoError, match=r"photo\.jpg.*\.$"):
        read_photo(path)
