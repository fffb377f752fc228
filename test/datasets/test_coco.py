from __future__ import annotations

import numpy as np
import pytest

from lisa_ros.datasets.coco import read_coco
from lisa_ros.datasets.records import DatasetError

from .conftest import box_polygon, coco_file, write_json

IMAGES = [(7, "a.jpg", 20, 30), (8, "b.jpg", 10, 10)]
ANNOTATIONS = [(0, 7, 1, [box_polygon(1, 1, 9, 9)], 0), ("8_2", 8, 2, {"size": [10, 10], "counts": [0, 100]}, 1)]


@pytest.fixture
def data():
    return coco_file(IMAGES, ANNOTATIONS, [(1, "cup"), (2, "plate")])


def test_a_file_is_read_by_identifier_and_in_order(tmp_path, data):
    file = read_coco(write_json(tmp_path / "instances.json", data))
    assert list(file.images) == [7, 8] and file.categories == {1: "cup", 2: "plate"}
    assert (file.images[8].file_name, file.images[8].height, file.images[8].width) == ("b.jpg", 10, 10)
    box, crowd = file.annotations[0], file.annotations["8_2"]
    assert (box.image, box.category, box.is_crowd) == (7, 1, False) and crowd.is_crowd
    assert isinstance(box.outline[0], np.ndarray) and box.outline[0].tolist() == box_polygon(1, 1, 9, 9)
    assert crowd.outline == {"size": [10, 10], "counts": [0, 100]}


@pytest.mark.parametrize("table", ["images", "annotations", "categories"])
def test_an_id_may_stand_only_once(tmp_path, data, table):
    data[table][1]["id"] = data[table][0]["id"]
    path = write_json(tmp_path / "instances.json", data)
    with pytest.raises(DatasetError, match=rf"instances\.json: the id \d stands twice in {table}"):
        read_coco(path)


@pytest.mark.parametrize(
    ("table", "key"),
    [("images", "id"), ("images", "file_name"), ("images", "height"), ("annotations", "id"), ("categories", "name")]
    + [("annotations", "image_id"), ("annotations", "segmentation")],
)
@pytest.mark.parametrize("damage", ["missing", "wrong"])
def test_missing_keys_and_wrong_types_are_named(tmp_path, data, table, key, damage):
    if damage == "missing":
        del data[table][1][key]
    else:
        data[table][1][key] = 0.5
    path = write_json(tmp_path / "instances.json", data)
    with pytest.raises(DatasetError, match=rf"instances\.json: .*'{key}'.*copy it again"):
        read_coco(path)


@pytest.mark.parametrize("table", ["images", "annotations", "categories"])
def test_missing_tables_are_named(tmp_path, data, table):
    path = write_json(tmp_path / "instances.json", {key: value for key, value in data.items() if key != table})
    with pytest.raises(DatasetError, match=f"the file has no '{table}'"):
        read_coco(path)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"images": [', b"\xff\xfe\x00", b"[" * 100_000])
def test_a_file_that_is_no_coco_file_is_refused(tmp_path, data, content):
    path = tmp_path / "instances.json"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"instances\.json.*copy it again"):
        read_coco(path)


def test_a_file_that_was_cut_off_is_refused(tmp_path, data):
    path = write_json(tmp_path / "instances.json", data)
    path.write_text(path.read_text()[:-40])
    with pytest.raises(DatasetError, match="is damaged or not JSON"):
        read_coco(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"annotation file .*nothing\.json is missing"):
        read_coco(tmp_path / "nothing.json")
