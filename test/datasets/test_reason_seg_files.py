from __future__ import annotations

import json

import numpy as np
import pytest

from lisa_ros.datasets.reason_seg_files import paint, read_annotation
from lisa_ros.datasets.records import ItemError

BOX = [[2, 2], [11, 2], [11, 11], [2, 11]]


def shape(label="target", points=BOX):
    return {"label": label, "points": points, "group_id": None, "shape_type": "polygon", "flags": {}}


def square(left, top, size):
    return [[left, top], [left + size, top], [left + size, top + size], [left, top + size]]


def write(folder, *shapes, text=("the camera lens",), is_sentence=False, encoding="utf-8"):
    data = {"version": "5.2.1", "shapes": list(shapes), "text": list(text), "is_sentence": is_sentence}
    path = folder / "a.json"
    path.write_bytes(json.dumps(data, ensure_ascii=False).encode(encoding))
    return path


def painted(folder, *shapes, height=20, width=30):
    return paint(read_annotation(write(folder, *shapes)).polygons, height, width, "a.json")


def test_a_file_gives_its_instructions_and_its_kind(tmp_path):
    annotation = read_annotation(write(tmp_path, shape(), text=(" Where? ", "And this?"), is_sentence=True))
    assert annotation.texts == ("Where?", "And this?") and annotation.is_sentence
    assert not read_annotation(write(tmp_path, shape())).is_sentence


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_files_of_both_encodings_are_read(tmp_path, encoding):
    text = "the café’s “open” sign"
    assert read_annotation(write(tmp_path, shape(), text=(text,), encoding=encoding)).texts == (text,)


def test_a_polygon_covers_its_outline_too(tmp_path):
    mask = painted(tmp_path, shape())
    assert mask.dtype == np.uint8 and mask.shape == (20, 30)
    assert mask[2:12, 2:12].all() and mask.sum() == 100


def test_points_are_rounded_towards_zero(tmp_path):
    mask = painted(tmp_path, shape(points=[[-0.9, -0.9], [5.9, 0], [5.9, 5.9], [0, 5.9]]))
    assert mask[:6, :6].all() and mask.sum() == 36


def test_the_largest_is_painted_first_whatever_the_order_of_the_file(tmp_path):
    target, hole, inner = (
        shape(points=square(0, 0, 19)),
        shape("Ignore", square(4, 4, 10)),
        shape(points=square(6, 6, 4)),
    )
    for shapes in ([target, hole, inner], [inner, hole, target], [hole, inner, target]):
        mask = painted(tmp_path, *shapes)
        assert mask[0, 0] == 1 and mask[4, 4] == 255 and mask[8, 8] == 1
        assert (mask == 255).sum() == 11 * 11 - 5 * 5 and (mask == 1).sum() == 400 - 11 * 11 + 5 * 5


def test_of_two_of_one_size_the_first_in_the_file_stays_on_top(tmp_path):
    assert painted(tmp_path, shape(), shape("ignore"))[5, 5] == 1
    with_ignore_first = painted(tmp_path, shape("ignore"), shape(), shape(points=square(15, 5, 5)))
    assert with_ignore_first[5, 5] == 255


def test_labels_say_what_a_polygon_means(tmp_path):
    shapes = [shape(points=square(0, 0, 3)), shape("FLAG", [[1, 1]]), shape("please ignore me", square(10, 0, 3))]
    mask = painted(tmp_path, *shapes, shape("anything", square(20, 0, 3)))
    assert (mask[:4, :4] == 1).all() and (mask[:4, 10:14] == 255).all() and (mask[:4, 20:24] == 1).all()
    assert (mask > 0).sum() == 48


def test_a_polygon_that_reaches_outside_is_cut_off(tmp_path):
    mask = painted(tmp_path, shape(points=[[-50, -50], [9, -50], [9, 500], [-50, 500]]))
    assert (mask == (np.arange(30) <= 9)).all()


@pytest.mark.parametrize("label", ["target", "ignore"])
def test_a_polygon_wholly_outside_draws_nothing_and_is_told(tmp_path, label, caplog):
    alone = painted(tmp_path, shape())
    assert (painted(tmp_path, shape(), shape(label, square(40, 40, 5))) == alone).all()
    assert "1 polygons lie outside the image and draw nothing" in caplog.text


def test_targets_that_lie_outside_altogether_are_refused(tmp_path):
    with pytest.raises(ItemError, match=r"a\.json: every target lies outside the image of 30 x 20"):
        painted(tmp_path, shape("ignore"), shape(points=square(40, 40, 5)))


def test_an_image_with_regions_to_ignore_alone_has_an_empty_target(tmp_path):
    mask = painted(tmp_path, shape("ignore"))
    assert set(np.unique(mask)) == {0, 255}


@pytest.mark.parametrize("points", [[[3, 4]], [[3, 4], [9, 4]]])
def test_points_and_lines_are_drawn_as_the_reference_draws_them(tmp_path, points):
    mask = painted(tmp_path, shape(points=points))
    expected = np.zeros((20, 30), np.uint8)
    expected[4, 3 : points[-1][0] + 1] = 1
    assert (mask == expected).all()


@pytest.mark.parametrize("shapes", [[], [shape("flag")]])
def test_a_file_without_a_polygon_is_refused(tmp_path, shapes):
    with pytest.raises(ItemError, match=r"a\.json has no polygon, so no mask"):
        read_annotation(write(tmp_path, *shapes))


def test_a_rectangle_of_two_corners_is_no_outline(tmp_path):
    rectangle = shape(points=[[1, 1], [9, 9]]) | {"shape_type": "rectangle"}
    with pytest.raises(ItemError, match=r"shapes\[0\] is a 'rectangle'; draw the outline as a polygon"):
        read_annotation(write(tmp_path, rectangle))


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "pairs of numbers"),
        (None, "pairs of numbers"),
        ([[1, 1], [5, 5], [5]], "pairs of numbers"),
        ([[1, 1, 1], [5, 5, 5], [5, 1, 1]], "pairs of numbers"),
        ([["a", 1], [5, 5], [5, 1]], "pairs of numbers"),
        ([[float("nan"), 1], [5, 5], [5, 1]], "numbers of at most 32767 pixels"),
        ([[float("inf"), 1], [5, 5], [5, 1]], "numbers of at most 32767 pixels"),
        ([[1e12, 1], [5, 5], [5, 1]], "numbers of at most 32767 pixels"),
    ],
)
def test_malformed_polygons_are_refused(tmp_path, points, message):
    with pytest.raises(ItemError, match=rf"a\.json: shapes\[1\] has the .*{message}"):
        read_annotation(write(tmp_path, shape(), shape(points=points)))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("text", "the lens", "'text' is 'the lens'; it must be a list"),
        ("text", [], r"'text' is \[\]"),
        ("text", ["lens", "  "], "'text' is"),
        ("text", [5], "'text' is"),
        ("is_sentence", "no", "'is_sentence' is 'no'; it must be true or false"),
        ("shapes", {}, "'shapes' is {}; it must be a list of polygons"),
        ("shapes", [5], r"shapes\[0\] has the label None"),
        ("shapes", [{"points": BOX}], r"shapes\[0\] has the label None"),
    ],
)
def test_malformed_values_are_refused(tmp_path, key, value, message):
    path = write(tmp_path, shape())
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ItemError, match=message):
        read_annotation(path)


@pytest.mark.parametrize("key", ["text", "is_sentence", "shapes"])
def test_missing_keys_are_named(tmp_path, key):
    path = write(tmp_path, shape())
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != key}))
    with pytest.raises(ItemError, match=f"has no '{key}'"):
        read_annotation(path)


@pytest.mark.parametrize("content", [b"", b'{"text": ["a', b"\x81\x8d", b"[1]"])
def test_damaged_files_are_refused(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ItemError, match=r"a\.json (is damaged|has no 'text')"):
        read_annotation(tmp_path / "a.json")
