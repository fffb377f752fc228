"""The image input of a real node: transports, reliability, remapping, and what is said when no frame arrives."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from lisa_ros.msg import Result

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


def subscribed_with(peer, topic):
    return [info.qos_profile.reliability for info in peer.node.get_subscriptions_info_by_topic(topic)]


@pytest.mark.parametrize(("setting", "offered"), [("auto", RELIABLE), ("auto", BEST_EFFORT), ("best_effort", RELIABLE)])
def test_the_subscription_matches_what_the_publisher_offers(start_node, make_peer, make_image, setting, offered):
    start_node("-p", f"image_reliability:={setting}", "-r", "image:=/front/color")
    peer = make_peer(image="/unused")
    peer.camera = peer.node.create_publisher(Image, "/front/color", QoSProfile(depth=1, reliability=offered))
    peer.wait_for("active")
    wanted = [BEST_EFFORT] if setting == "best_effort" else [offered]
    peer.wait(lambda: subscribed_with(peer, "/front/color") == wanted, f"a subscription that is {wanted}")
    assert peer.ask_about(make_image(), "where?").verdict == Result.FOUND


def test_a_best_effort_camera_that_joins_is_heard_too(start_node, make_peer, make_image):
    start_node()
    peer = make_peer()
    peer.wait_for("active")
    peer.wait(lambda: subscribed_with(peer, "/image") == [RELIABLE], "a reliable subscription")
    peer.camera = peer.node.create_publisher(Image, "/image", QoSProfile(depth=1, reliability=BEST_EFFORT))
    peer.wait(lambda: subscribed_with(peer, "/image") == [BEST_EFFORT], "a best-effort subscription")
    assert peer.ask_about(make_image(), "where?").verdict == Result.FOUND


def test_compressed_images_come_from_the_topic_next_to_the_raw_one(start_node, make_peer, make_image):
    start_node("-p", "image_transport:=compressed", "-r", "image:=/front/color")
    peer = make_peer(image="/front/color/compressed", compressed=True)
    peer.wait_for("active")
    header = make_image().header
    data = cv2.imencode(".jpg", np.zeros((30, 40, 3), np.uint8))[1].tobytes()
    result = peer.ask_about(CompressedImage(header=header, format="jpeg", data=data), "where?")
    assert (result.verdict, result.header) == (Result.FOUND, header)
    assert (result.labels.height, result.labels.width) == (30, 40)
    broken = CompressedImage(header=make_image().header, format="jpeg", data=data[:20])
    assert "cannot be decoded (20 bytes)" in peer.ask_about(broken, "where?").error


def warning(peer, part):
    def seen():
        status = peer.diagnostics[-1].status[0] if peer.diagnostics else None
        return status if status is not None and part in status.message else None

    status = peer.wait(seen, f"a status with {part!r}")
    assert status.level == status.WARN
    assert part in peer.ask("where?").error


def test_silence_is_explained_with_the_remedy(start_node, make_peer):
    start_node()
    peer = make_peer(image="/another")
    peer.wait_for("active")
    warning(peer, "Nobody publishes /image; start the camera or remap image to its topic.")
    compressed = peer.node.create_publisher(CompressedImage, "/image", 1)
    warning(peer, "/image carries sensor_msgs/msg/CompressedImage, not sensor_msgs/msg/Image")
    peer.node.destroy_publisher(compressed)
    peer.node.create_publisher(Image, "/image", 1)
    warning(peer, "/image has a publisher but no frame arrives")


def test_a_reliable_setting_and_a_best_effort_camera_are_explained(start_node, make_peer):
    start_node("-p", "image_reliability:=reliable")
    peer = make_peer(image="/another")
    peer.node.create_publisher(Image, "/image", QoSProfile(depth=1, reliability=BEST_EFFORT))
    peer.wait_for("active")
    warning(peer, "/image is published best effort; set the parameter image_reliability to auto.")
