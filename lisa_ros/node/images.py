"""Image messages to uint8 RGB ``[H, W, 3]``: every encoding of ``sensor_msgs/image_encodings.hpp`` that shows colour.

Takes anything with the fields of ``sensor_msgs/Image`` or ``sensor_msgs/CompressedImage``; imports no ROS.
``cv_bridge`` is asked only for encodings that are not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]


class ImageError(ValueError):
    """An image message cannot be shown as colour; the message is one sentence for the user."""


class ImageMessage(Protocol):
    """The fields of ``sensor_msgs/Image`` that conversion reads."""

    encoding: str
    height: int
    width: int
    step: int
    is_bigendian: int
    data: Any


class CompressedMessage(Protocol):
    """The fields of ``sensor_msgs/CompressedImage`` that conversion reads."""

    format: str
    data: Any


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the rows of an encoding lie in memory and how they become RGB.

    A row holds ``width * channels`` samples of ``depth`` bits; there are ``rows_per_line * height`` rows of ``step``
    bytes, and ``trim`` cuts their padding off. ``multiple`` is what height and width must be multiples of. ``convert``
    takes uint8 ``[rows, width, channels]`` (``[rows, width]`` for one channel) and returns RGB.
    """

    channels: int
    convert: Callable[[NDArray[np.uint8]], NDArray[Any]]
    depth: int = 8
    rows_per_line: float = 1
    multiple: tuple[int, int] = (1, 1)
    trim: Callable[[NDArray[np.uint8], int], NDArray[np.uint8]] = lambda rows, row_bytes: rows[:, :row_bytes]


def to_rgb(message: ImageMessage) -> Rgb:
    """Return the image of a ``sensor_msgs/Image`` as uint8 RGB ``[height, width, 3]``, in memory of its own.

    16-bit samples are scaled to 8 bit; ``8UC1``, ``8UC3`` and ``8UC4`` are read as OpenCV means them: grey, BGR, BGRA.
    Raises ``ImageError`` when the fields contradict each other or the encoding shows no colour (depth).
    """
    name = message.encoding.strip().lower()
    encoding = ENCODINGS.get(name)
    if encoding is None:
        return _refuse_depth(name) if name in NOT_COLOUR else _by_cv_bridge(message)
    samples = _samples(message, encoding)
    try:
        rgb: Rgb = np.ascontiguousarray(encoding.convert(samples))
    except cv2.error as error:
        size = f"{message.width} x {message.height}"
        raise ImageError(f"The image of encoding {message.encoding!r} and size {size} cannot be converted.") from error
    return rgb.copy() if np.may_share_memory(rgb, samples) else rgb


def compressed_to_rgb(message: CompressedMessage) -> Rgb:
    """Return the image of a ``sensor_msgs/CompressedImage`` (JPEG, PNG) as uint8 RGB ``[height, width, 3]``.

    The orientation written by a camera into EXIF is not applied: the pixels must keep the places that ``camera_info``
    gives them. Raises ``ImageError`` when the data cannot be decoded or holds depth.
    """
    form = message.format
    if "compresseddepth" in form.lower():
        raise ImageError(f"The compressed image has the format {form!r}, which is depth; connect a colour topic.")
    data = np.frombuffer(message.data, np.uint8)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) if data.size else None
    if bgr is None:
        raise ImageError(
            f"The compressed image of format {form!r} cannot be decoded ({data.size} bytes); send JPEG or PNG."
        )
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def _samples(message: ImageMessage, encoding: Encoding) -> NDArray[np.uint8]:
    """Return the samples as uint8 ``[rows, width, channels]`` after checking every field against the others."""
    _check_size(message, encoding)
    row_bytes = message.width * encoding.channels * encoding.depth // 8
    rows = int(message.height * encoding.rows_per_line)
    if message.step < row_bytes:
        raise ImageError(
            f"The image of encoding {message.encoding!r} and width {message.width} has a step of {message.step} bytes; "
            f"a row needs {row_bytes}."
        )
    data = np.frombuffer(message.data, np.uint8)
    if data.size < rows * message.step:
        raise ImageError(
            f"The image of encoding {message.encoding!r} is truncated: {data.size} of {rows * message.step} bytes came."
        )
    image = encoding.trim(data[: rows * message.step].reshape(rows, message.step), row_bytes)
    if encoding.depth == 16:
        image = _to_eight_bits(image, bool(message.is_bigendian))
    shape = (rows, message.width) if encoding.channels == 1 else (rows, message.width, encoding.channels)
    return image.reshape(shape)


def _check_size(message: ImageMessage, encoding: Encoding) -> None:
    height, width = message.height, message.width
    if width < 1 or height < 1:
        raise ImageError(f"The image is empty: its size is {width} x {height}.")
    if height % encoding.multiple[0] or width % encoding.multiple[1]:
        raise ImageError(
            f"The image of encoding {message.encoding!r} is {width} x {height}; its width must be a multiple of "
            f"{encoding.multiple[1]} and its height of {encoding.multiple[0]}."
        )


def _to_eight_bits(image: NDArray[np.uint8], is_bigendian: bool) -> NDArray[np.uint8]:
    """Scale 16-bit samples, given as bytes, so that 65535 becomes 255, rounding to the nearest."""
    samples = np.ascontiguousarray(image).view(">u2" if is_bigendian else "<u2").astype(np.uint32)
    return ((samples + 128) // 257).astype(np.uint8)


def _cv(code: int) -> Callable[[NDArray[np.uint8]], NDArray[Any]]:
    """Return a conversion by one of OpenCV's colour codes."""
    return lambda image: cv2.cvtColor(np.ascontiguousarray(image), code)


def _trim_nv24(rows: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Cut the padding of NV24, whose lines of chroma are twice as long as those of luma and fill two rows each."""
    height, step = rows.shape[0] // 3, rows.shape[1]
    chroma = rows[height:].reshape(height, 2 * step)[:, : 2 * width]
    return np.concatenate([rows[:height, :width], chroma.reshape(2 * height, width)])


def _nv24(image: NDArray[np.uint8]) -> NDArray[Any]:
    """Convert ``[3 * height, width]``: a plane of Y, then one of U, V pairs at full resolution.

    OpenCV does not know it. Each pixel is written twice as YUYV, which OpenCV knows, and every second one is kept.
    """
    height, width = image.shape[0] // 3, image.shape[1]
    luma, chroma = image[:height], image[height:].reshape(height, width, 2)
    yuyv = np.empty((height, 2 * width, 2), np.uint8)
    yuyv[..., 0] = luma.repeat(2, axis=1)
    yuyv[..., 1] = chroma.reshape(height, 2 * width)
    return cv2.cvtColor(yuyv, cv2.COLOR_YUV2RGB_YUY2)[:, ::2]


def _encodings() -> dict[str, Encoding]:
    """Return the table of encodings by name."""
    grey, bgr, bgra = _cv(cv2.COLOR_GRAY2RGB), _cv(cv2.COLOR_BGR2RGB), _cv(cv2.COLOR_BGRA2RGB)
    plain = {
        "rgb": Encoding(3, lambda image: image),
        "bgr": Encoding(3, bgr),
        "rgba": Encoding(4, lambda image: image[..., :3]),
        "bgra": Encoding(4, bgra),
        "mono": Encoding(1, grey),
        # OpenCV names a Bayer pattern by its second row and column, ROS by its first.
        "bayer_rggb": Encoding(1, _cv(cv2.COLOR_BayerBG2RGB)),
        "bayer_bggr": Encoding(1, _cv(cv2.COLOR_BayerRG2RGB)),
        "bayer_gbrg": Encoding(1, _cv(cv2.COLOR_BayerGR2RGB)),
        "bayer_grbg": Encoding(1, _cv(cv2.COLOR_BayerGB2RGB)),
    }
    uyvy = Encoding(2, _cv(cv2.COLOR_YUV2RGB_UYVY), multiple=(1, 2))
    yuyv = Encoding(2, _cv(cv2.COLOR_YUV2RGB_YUY2), multiple=(1, 2))
    nv21 = Encoding(1, _cv(cv2.COLOR_YUV2RGB_NV21), rows_per_line=1.5, multiple=(2, 2))
    nv24 = Encoding(1, _nv24, rows_per_line=3, trim=_trim_nv24)
    return {
        **{f"{name}8": encoding for name, encoding in plain.items()},
        **{f"{name}16": Encoding(e.channels, e.convert, depth=16) for name, e in plain.items()},
        **{"8uc1": plain["mono"], "8uc3": plain["bgr"], "8uc4": plain["bgra"]},
        **{"uyvy": uyvy, "yuv422": uyvy, "yuyv": yuyv, "yuv422_yuy2": yuyv, "nv21": nv21, "nv24": nv24},
    }


ENCODINGS = _encodings()
NOT_COLOUR = {f"{kind}c{channels}" for kind in ("8s", "16u", "16s", "32s", "32f", "64f") for channels in (1, 2, 3, 4)}
NOT_COLOUR.add("8uc2")


def _refuse_depth(name: str) -> Rgb:
    raise ImageError(
        f"The image has the encoding {name.upper()!r}, which holds depth or raw numbers; "
        "connect a colour topic such as one of rgb8, bgr8, mono8 or bayer_rggb8."
    )


def _by_cv_bridge(message: ImageMessage) -> Rgb:
    """Let ``cv_bridge`` convert an encoding that is not known here, where it is installed."""
    unknown = f"The image has the unknown encoding {message.encoding!r}; known are {', '.join(sorted(ENCODINGS))}."
    try:
        from cv_bridge import CvBridge
    except (ImportError, AttributeError) as error:
        raise ImageError(unknown) from error
    try:
        rgb: Rgb = CvBridge().imgmsg_to_cv2(message, desired_encoding="rgb8")
    except Exception as error:
        # cv_bridge raises its own CvBridgeError, KeyError or AttributeError, by version of NumPy and OpenCV.
        raise ImageError(unknown) from error
    return rgb
