from __future__ import annotations

import sys
import types

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from lisa_ros.node.images import ENCODINGS, ImageError, compressed_to_rgb, to_rgb

HEIGHT, WIDTH = 12, 16
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
GREY = RGB[..., 0]
ALPHA = np.full((HEIGHT, WIDTH, 1), 77, np.uint8)


def message(pixels: np.ndarray, encoding: str, height: int = HEIGHT, width: int = WIDTH, padding: int = 0, **fields):
    rows = pixels.reshape(pixels.shape[0], -1).view(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    result = Image(height=height, width=width, encoding=encoding, step=padded.shape[1], **fields)
    result.data.frombytes(padded.tobytes())
    return result


def grey_as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def yuv_to_rgb(y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """ITU-R BT.601, studio range, written out."""
    y, u, v = 1.164383 * (y.astype(float) - 16), u.astype(float) - 128, v.astype(float) - 128
    rgb = np.stack([y + 1.596027 * v, y - 0.391762 * u - 0.812968 * v, y + 2.017232 * u], axis=-1)
    return np.clip(rgb, 0, 255)


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "pixels", "expected"),
    [
        ("rgb8", RGB, RGB),
        ("bgr8", RGB[..., ::-1], RGB),
        ("rgba8", np.concatenate([RGB, ALPHA], 2), RGB),
        ("bgra8", np.concatenate([RGB[..., ::-1], ALPHA], 2), RGB),
        ("mono8", GREY, grey_as_rgb(GREY)),
        ("8UC1", GREY, grey_as_rgb(GREY)),
        ("8UC3", RGB[..., ::-1], RGB),
        ("8UC4", np.concatenate([RGB[..., ::-1], ALPHA], 2), RGB),
    ],
)
def test_eight_bit_encodings(encoding, pixels, expected, padding):
    np.testing.assert_array_equal(to_rgb(message(np.ascontiguousarray(pixels), encoding, padding=padding)), expected)


@pytest.mark.parametrize("is_bigendian", [0, 1])
@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("encoding", ["mono16", "rgb16", "bgr16", "rgba16", "bgra16"])
def test_sixteen_bit_encodings_scale_to_the_nearest_eight_bit_value(encoding, is_bigendian, padding):
    deep = np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH, 4), dtype=np.uint16)
    deep[0, 0] = (0, 65535, 255, 256)
    channels = {"mono16": [0], "rgb16": [0, 1, 2], "bgr16": [2, 1, 0], "rgba16": [0, 1, 2, 3], "bgra16": [2, 1, 0, 3]}
    stored = np.ascontiguousarray(deep[..., channels[encoding]]).astype(">u2" if is_bigendian else "<u2")
    shown = np.round(deep[..., :3] / 65535 * 255).astype(np.uint8)
    expected = grey_as_rgb(shown[..., 0]) if encoding == "mono16" else shown
    result = to_rgb(message(stored, encoding, padding=padding, is_bigendian=is_bigendian))
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_give_back_the_colours_of_two_halves(pattern, depth):
    scene = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    scene[:, : WIDTH // 2], scene[:, WIDTH // 2 :] = (200, 100, 40), (10, 60, 250)
    mosaic = np.zeros((HEIGHT, WIDTH), np.uint8)
    for index, colour in enumerate(pattern):
        row, column = divmod(index, 2)
        mosaic[row::2, column::2] = scene[row::2, column::2, "rgb".index(colour)]
    stored = mosaic if depth == 8 else mosaic.astype(np.uint16) * 257
    result = to_rgb(message(stored, f"bayer_{pattern}{depth}"))
    away_from_edges = np.r_[2 : WIDTH // 2 - 2, WIDTH // 2 + 2 : WIDTH - 2]
    np.testing.assert_array_equal(result[2:-2, away_from_edges], scene[2:-2, away_from_edges])


@pytest.fixture
def planes():
    generator = np.random.default_rng(2)
    return [generator.integers(16, 236, (HEIGHT, WIDTH), dtype=np.uint8) for _ in "yuv"]


@pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv"])
def test_yuv_422(encoding, planes):
    y, u, v = planes[0], planes[1].repeat(2, axis=1)[:, :WIDTH], planes[2].repeat(2, axis=1)[:, :WIDTH]
    chroma = np.where(np.arange(WIDTH) % 2 == 0, u, v)
    pair = [chroma, y] if encoding in ("yuv422", "uyvy") else [y, chroma]
    result = to_rgb(message(np.stack(pair, axis=-1), encoding, padding=4))
    np.testing.assert_allclose(result.astype(float), yuv_to_rgb(y, u, v), atol=2)


def test_nv21_holds_v_before_u_at_half_resolution(planes):
    y, u, v = planes[0], planes[1][::2, ::2], planes[2][::2, ::2]
    chroma = np.stack([v, u], axis=-1).reshape(HEIGHT // 2, WIDTH)
    result = to_rgb(message(np.concatenate([y, chroma]), "nv21", padding=3))
    expected = yuv_to_rgb(y, *(plane.repeat(2, axis=0).repeat(2, axis=1) for plane in (u, v)))
    np.testing.assert_allclose(result.astype(float), expected, atol=2)


@pytest.mark.parametrize("padding", [0, 3])
def test_nv24_holds_u_before_v_at_full_resolution(planes, padding):
    y, u, v = planes
    luma = np.pad(y, ((0, 0), (0, padding)))
    chroma = np.pad(np.stack([u, v], axis=-1).reshape(HEIGHT, 2 * WIDTH), ((0, 0), (0, 2 * padding)))
    image = Image(height=HEIGHT, width=WIDTH, encoding="nv24", step=WIDTH + padding)
    image.data.frombytes(luma.tobytes() + chroma.tobytes())
    np.testing.assert_allclose(to_rgb(image).astype(float), yuv_to_rgb(y, u, v), atol=2)


def test_the_result_does_not_share_memory_with_the_message():
    image = message(RGB, "rgb8")
    result = to_rgb(image)
    image.data[:] = type(image.data)("B", bytes(len(image.data)))
    np.testing.assert_array_equal(result, RGB)


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
@pytest.mark.parametrize("data_length", [0, 1, 40])
def test_truncated_data_is_refused_for_every_encoding(encoding, data_length):
    image = Image(height=HEIGHT, width=WIDTH, encoding=encoding, step=WIDTH * 8)
    image.data.frombytes(bytes(data_length))
    with pytest.raises(ImageError, match=rf"'{encoding}' is truncated: {data_length} of \d+ bytes came\.$"):
        to_rgb(image)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"height": 0}, "The image is empty: its size is 16 x 0."),
        ({"width": 0}, "The image is empty: its size is 0 x 12."),
        ({"step": 47}, "width 16 has a step of 47 bytes; a row needs 48."),
        ({"height": 13}, "truncated: 576 of 624 bytes came."),
        ({"encoding": "16UC1"}, "'16UC1', which holds depth"),
        ({"encoding": "32FC1"}, "'32FC1', which holds depth"),
        ({"encoding": "rgb99"}, "unknown encoding 'rgb99'; known are 8uc1"),
        ({"encoding": ""}, "unknown encoding ''"),
        ({"encoding": "yuyv", "width": 15}, "is 15 x 12; its width must be a multiple of 2"),
        ({"encoding": "nv21", "height": 11}, "its width must be a multiple of 2 and its height of 2."),
        ({"height": 2**32 - 1, "step": 2**32 - 1}, "truncated"),
    ],
)
def test_contradictory_fields_are_refused_with_a_sentence(change, sentence):
    image = message(RGB, "rgb8")
    for name, value in change.items():
        setattr(image, name, value)
    with pytest.raises(ImageError) as raised:
        to_rgb(image)
    assert sentence in str(raised.value)


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 2), (3, 4)])
def test_small_images_give_their_size_or_a_sentence(encoding, size):
    height, width = size
    image = Image(height=height, width=width, encoding=encoding, step=width * 8)
    image.data.frombytes(bytes(width * 8 * height * 3))
    try:
        assert to_rgb(image).shape == (height, width, 3)
    except ImageError as error:
        assert encoding in str(error)


@pytest.mark.parametrize("form", ["png", "rgb8; png compressed bgr8"])
def test_compressed_png_is_exact(form):
    data = cv2.imencode(".png", RGB[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(compressed_to_rgb(CompressedImage(format=form, data=data)), RGB)


@pytest.mark.parametrize("form", ["jpeg", "rgb8; jpeg compressed bgr8", ""])
def test_compressed_jpeg_keeps_the_channels_apart(form):
    scene = np.full((64, 64, 3), (200, 90, 30), np.uint8)
    data = cv2.imencode(".jpg", scene[..., ::-1])[1].tobytes()
    result = compressed_to_rgb(CompressedImage(format=form, data=data))
    np.testing.assert_allclose(result.astype(int), scene, atol=4)


@pytest.mark.parametrize(
    ("form", "data", "sentence"),
    [
        ("jpeg", b"", "cannot be decoded (0 bytes)"),
        ("jpeg", b"\xff\xd8 not a picture", "cannot be decoded (16 bytes)"),
        ("32FC1; compressedDepth png", b"123", "which is depth"),
    ],
)
def test_compressed_garbage_is_refused_with_a_sentence(form, data, sentence):
    with pytest.raises(ImageError) as raised:
        compressed_to_rgb(CompressedImage(format=form, data=data))
    assert sentence in str(raised.value)


CV_BRIDGE_KNOWS = ["rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16", "rgb16", "bgra16", "bayer_rggb8", "yuv422_yuy2"]


@pytest.mark.parametrize("encoding", CV_BRIDGE_KNOWS)
def test_parity_with_cv_bridge(encoding):
    cv_bridge = pytest.importorskip("cv_bridge", exc_type=ImportError)
    samples = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH * 8), dtype=np.uint8)
    kind = ENCODINGS[encoding]
    rows = np.ascontiguousarray(samples[:, : WIDTH * kind.channels * kind.depth // 8])
    image = message(rows, encoding)
    expected = cv_bridge.CvBridge().imgmsg_to_cv2(image, desired_encoding="rgb8")
    np.testing.assert_allclose(to_rgb(image).astype(int), expected.astype(int), atol=1)


def stand_in_for_cv_bridge(convert):
    module = types.ModuleType("cv_bridge")
    module.CvBridge = lambda: types.SimpleNamespace(imgmsg_to_cv2=convert)
    return module


def test_an_encoding_unknown_here_is_left_to_cv_bridge(monkeypatch):
    asked = []

    def convert(image, desired_encoding):
        asked.append((image.encoding, desired_encoding))
        return RGB

    monkeypatch.setitem(sys.modules, "cv_bridge", stand_in_for_cv_bridge(convert))
    np.testing.assert_array_equal(to_rgb(message(RGB, "novel8")), RGB)
    to_rgb(message(RGB, "rgb8"))
    assert asked == [("novel8", "rgb8")]


@pytest.mark.parametrize("error", [KeyError(16), AttributeError("newbyteorder"), RuntimeError("Unrecognized encoding")])
def test_whatever_cv_bridge_raises_becomes_the_sentence_about_the_encoding(monkeypatch, error):
    def convert(image, desired_encoding):
        raise error

    monkeypatch.setitem(sys.modules, "cv_bridge", stand_in_for_cv_bridge(convert))
    with pytest.raises(ImageError, match="unknown encoding 'novel8'"):
        to_rgb(message(RGB, "novel8"))
