"""The image input: one subscription, raw or compressed, whose reliability follows the publishers."""

from __future__ import annotations

import time

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CompressedImage, Image

from lisa_ros.node.jobs import LatestFrame
from lisa_ros.node.qos import choose_reliability, newest_image

PATIENCE = 3.0
"""Seconds without a frame after which that counts as a problem."""

MESSAGES = {"raw": Image, "compressed": CompressedImage}


class Camera:
    """Stores every image of the topic ``image`` in a ``LatestFrame`` while it is open.

    With the transport ``compressed`` the topic is ``<image>/compressed``, as ``image_transport`` names it, so that a
    remapping of ``image`` serves both.
    """

    def __init__(self, node: Node, frames: LatestFrame) -> None:
        self._node = node
        self._frames = frames
        self._transport = "raw"
        self._setting = "auto"
        self._reliability = ReliabilityPolicy.BEST_EFFORT
        self._subscription: Subscription | None = None
        self._opened = 0.0

    @property
    def topic(self) -> str:
        """Full name of the topic, remappings applied."""
        base = self._node.resolve_topic_name("image")
        return base if self._transport == "raw" else f"{base}/compressed"

    def open(self, transport: str, reliability: str) -> None:
        """Subscribe; both arguments are values of the parameters ``image_transport`` and ``image_reliability``."""
        self._transport, self._setting = transport, reliability
        self._reliability = choose_reliability(reliability, self._offered(), self._reliability)
        self._opened = time.monotonic()
        self._subscribe()

    def match(self) -> None:
        """Subscribe anew if the publishers found by now offer another reliability; call it every now and then."""
        if self._subscription is None:
            return
        wanted = choose_reliability(self._setting, self._offered(), self._reliability)
        if wanted != self._reliability:
            self._node.get_logger().info(f"The publishers of {self.topic} are {wanted.name.lower()}; matching them.")
            self._reliability = wanted
            self._unsubscribe()
            self._subscribe()

    def close(self) -> None:
        """Unsubscribe and forget the frame."""
        self._unsubscribe()
        self._frames.clear()

    def problem(self) -> str:
        """Return why frames do not arrive, as one sentence that names the remedy; empty while they do."""
        frame = self._frames.get()
        if self._subscription is None or (frame is not None and frame.age < PATIENCE):
            return ""
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        if not publishers:
            return f"Nobody publishes {self.topic}; start the camera or remap image to its topic."
        if not self._matching(publishers):
            return (
                f"{self.topic} carries {publishers[0].topic_type}, not {self._type_name}; "
                "set the parameter image_transport or remap image."
            )
        return self._no_frames()

    def _no_frames(self) -> str:
        if time.monotonic() - self._opened < PATIENCE:
            return f"{self.topic} has a publisher, but its first frame has not arrived yet."
        if self._setting == "reliable" and ReliabilityPolicy.BEST_EFFORT in self._offered():
            return f"{self.topic} is published best effort; set the parameter image_reliability to auto."
        return (
            f"{self.topic} has a publisher but no frame arrives; if it does publish, its images are lost on the way: "
            "publish them reliably, or start both sides with "
            "FASTDDS_DEFAULT_PROFILES_FILE=<share>/lisa_ros/config/fastdds_large_images.xml."
        )

    @property
    def _type_name(self) -> str:
        return f"sensor_msgs/msg/{MESSAGES[self._transport].__name__}"

    def _matching(self, publishers: list[TopicEndpointInfo]) -> list[TopicEndpointInfo]:
        return [publisher for publisher in publishers if publisher.topic_type == self._type_name]

    def _offered(self) -> list[ReliabilityPolicy]:
        publishers = self._matching(self._node.get_publishers_info_by_topic(self.topic))
        return [publisher.qos_profile.reliability for publisher in publishers]

    def _subscribe(self) -> None:
        self._subscription = self._node.create_subscription(
            MESSAGES[self._transport], self.topic, self._frames.put, newest_image(self._reliability)
        )

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
