from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lisa_ros.datasets.images import image_size, read_labels, read_rgb, require_size, stems_in
from lisa_ros.datasets.records import DatasetError, ItemError

from .conftest import write_image, write_labels


def test_a_picture_is_rgb_bytes_that_can_be_written_to(tmp_path):
    rgb = read_rgb(write_image(tmp_path / "a.jpg", quality=95))
    assert rgb.shape == (20, 30, 3) and rgb.dtype == np.uint8 and rgb.flags.writeable
    assert rgb[2, 27, 1] > 200 and rgb[18, 2, 0] > 200 and abs(int(rgb[10, 10, 2]) - 90) < 12


def test_a_grey_picture_gets_three_equal_channels(tmp_path):
    Image.fromarray(np.full((4, 6), 77, np.uint8)).save(tmp_path / "grey.jpg")
    assert (read_rgb(tmp_path / "grey.jpg") == 77).all()


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_size_and_pixels_agree_for_turned_pictures(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = write_image(tmp_path / "a.jpg", 20, 30, exif=exif)
    assert image_size(path) == read_rgb(path).shape[:2] == ((20, 30) if orientation < 5 else (30, 20))


@pytest.mark.parametrize("kept", [0, 20, 0.5, 0.95])
def test_a_cut_off_picture_is_refused(tmp_path, kept):
    path = write_image(tmp_path / "a.jpg", 200, 300)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    with pytest.raises(ItemError, match=r"a\.jpg cannot be read .*copy it again"):
        read_rgb(path)


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(ItemError, match=r"The image .*nowhere\.jpg is missing"):
        read_rgb(tmp_path / "nowhere.jpg")


def test_label_maps_give_indices_not_colours(tmp_path):
    labels = np.arange(12).reshape(3, 4)
    colours = [255 - value for value in range(256) for _ in range(3)]
    assert (read_labels(write_labels(tmp_path / "plain.png", labels)) == labels).all()
    assert (read_labels(write_labels(tmp_path / "palette.png", labels, colours)) == labels).all()


def test_a_label_map_in_colour_is_refused(tmp_path):
    with pytest.raises(ItemError, match="has the mode RGB; it must be one channel of 8 bits"):
        read_labels(write_image(tmp_path / "a.png"))


def test_another_size_is_told_with_both_sizes(tmp_path):
    path = write_image(tmp_path / "a.jpg", 20, 30)
    require_size(path, (20, 30), "the mask")
    with pytest.raises(ItemError, match="has 30 x 20 pixels, the mask 20 x 30; they do not"):
        require_size(path, (30, 20), "the mask")


def test_stems_are_sorted_without_hidden_files(tmp_path):
    for name in ("b.jpg", "a.jpg", "a.json", "._c.jpg", "d.txt"):
        (tmp_path / name).touch()
    assert stems_in(tmp_path, ".jpg") == ["a", "b"] == stems_in(tmp_path, ".jpg", ".json")
    with pytest.raises(DatasetError, match=r"holds no \.png; copy them there"):
        stems_in(tmp_path, ".png")
    with pytest.raises(DatasetError, match="missing cannot be read .*No such file"):
        stems_in(tmp_path / "missing", ".png")
