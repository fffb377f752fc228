"""Answers as messages, and the publishers that send them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header, String

from lisa_ros.answers import Answer, SegmentedObject, Verdict
from lisa_ros.msg import Result, StageTiming
from lisa_ros.msg import SegmentedObject as SegmentedObjectMessage
from lisa_ros.node.qos import reliable

MAX_OBJECTS = 255
"""As many objects as a label image of uint8 can tell apart."""

VERDICTS = {
    Verdict.FAILED: Result.FAILED,
    Verdict.FOUND: Result.FOUND,
    Verdict.NOT_PRESENT: Result.NOT_PRESENT,
    Verdict.WORDS_ONLY: Result.WORDS_ONLY,
}


class Publishers:
    """The outputs of the node: ``~/result``, ``~/mask``, ``~/overlay`` and ``~/reasoning``.

    ``~/result`` works in every state, because a query is answered with ``FAILED`` even when the node is not active.
    The others are silent unless it is. Every method may be called from any thread.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._context = node.context
        self._result = node.create_publisher(Result, "~/result", reliable(10))
        self._mask = node.create_lifecycle_publisher(Image, "~/mask", reliable(1))
        self._overlay = node.create_lifecycle_publisher(Image, "~/overlay", reliable(1))
        self._reasoning = node.create_lifecycle_publisher(String, "~/reasoning", reliable(10))

    def result(self, query_id: int, query: str, header: Header, answer: Answer) -> None:
        """Send the whole answer, and its words on ``~/reasoning`` if it has any."""
        self._send(self._result, to_result(query_id, query, header, answer))
        if answer.words:
            self._send(self._reasoning, String(data=answer.words))

    def mask(self, header: Header, size: tuple[int, int], objects: Sequence[SegmentedObject]) -> None:
        """Send the union of the masks as mono8: 255 on an object, 0 elsewhere."""
        self._send(self._mask, to_image(header, "mono8", union(size, objects).astype(np.uint8) * 255))

    def overlay(
        self,
        header: Header,
        rgb: NDArray[np.uint8],
        objects: Sequence[SegmentedObject],
        color: tuple[int, ...],
        alpha: float,
    ) -> None:
        """Send the image with the masks tinted, rgb8, if anybody listens."""
        if self._overlay.get_subscription_count():
            self._send(self._overlay, to_image(header, "rgb8", tint(rgb, objects, color, alpha)))

    def _send(self, publisher: Publisher, message: Any) -> None:
        try:
            publisher.publish(message)
        except Exception:
            # The worker may still be answering when the process is told to end: then nobody can be told anything.
            if self._context.ok():
                raise


def to_result(query_id: int, query: str, header: Header, answer: Answer) -> Result:
    """Return the message of an answer; ``answer.objects`` must be at most ``MAX_OBJECTS``."""
    message = Result(header=header, query=query, query_id=query_id, verdict=VERDICTS[answer.verdict])
    message.words, message.model, message.error = answer.words, answer.model, answer.error
    message.objects = [_to_object(label, found) for label, found in enumerate(answer.objects, start=1)]
    if answer.objects:
        message.labels = to_image(header, "mono8", label_image(answer.objects))
    message.timings = [StageTiming(stage=stage, milliseconds=float(ms)) for stage, ms in answer.timings.items()]
    return message


def _to_object(label_id: int, found: SegmentedObject) -> SegmentedObjectMessage:
    x_min, y_min, x_max, y_max = found.box
    return SegmentedObjectMessage(
        label=found.label,
        score=float(found.score),
        seg_probability=float(found.seg_probability),
        predicted_iou=float(found.predicted_iou),
        stability=float(found.stability),
        label_id=label_id,
        area=found.area,
        box=RegionOfInterest(x_offset=x_min, y_offset=y_min, width=x_max - x_min, height=y_max - y_min),
    )


def union(size: tuple[int, int], objects: Sequence[SegmentedObject]) -> NDArray[np.bool_]:
    """Return the bool ``[H, W]`` mask of all objects together, ``size`` being ``(height, width)``."""
    mask = np.zeros(size, np.bool_)
    for found in objects:
        mask |= found.mask
    return mask


def label_image(objects: Sequence[SegmentedObject]) -> NDArray[np.uint8]:
    """Return uint8 ``[H, W]``: 0 on the background, 1 on the first object and so on; where two overlap, the later."""
    labels = np.zeros(objects[0].mask.shape, np.uint8)
    for label, found in enumerate(objects, start=1):
        labels[found.mask] = label
    return labels


def tint(
    rgb: NDArray[np.uint8], objects: Sequence[SegmentedObject], color: tuple[int, ...], alpha: float
) -> NDArray[np.uint8]:
    """Return a copy of uint8 RGB ``[H, W, 3]`` with the share ``alpha`` of ``color`` on the masks."""
    tinted = rgb.copy()
    mask = union((rgb.shape[0], rgb.shape[1]), objects)
    mixed = (1.0 - alpha) * rgb[mask] + alpha * np.array(color, np.float32)
    tinted[mask] = np.rint(mixed).astype(np.uint8)
    return tinted


def to_image(header: Header, encoding: str, pixels: NDArray[np.uint8]) -> Image:
    """Return the message of uint8 ``[H, W]`` or ``[H, W, channels]`` pixels."""
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    message = Image(header=header, height=height, width=width, encoding=encoding, step=pixels.strides[0])
    # An array.array filled from a flat view is the fast way into a message on every distribution; bytes or an ndarray
    # would be checked element by element on some.
    data = array("B")
    data.frombytes(pixels.data.cast("B"))
    message.data = data
    return message
