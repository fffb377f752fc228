"""The process that stands in for a camera: plays the frames of a folder, one at a time, five pictures a second."""

from __future__ import annotations

import signal
import sys

import numpy as np
import rclpy
from rcl_interfaces.msg import IntegerRange, ParameterDescriptor
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from lisa_ros.node.publishing import to_image
from lisa_ros.node.qos import reliable
from lisa_ros.simulation.frames import Frame, FrameCamera, FrameFolder

PERIOD = 0.2
FRAME_ID = "camera_optical_frame"


class DemoCamera(Node):
    """Publishes ``image`` (rgb8), ``camera_info`` and, where it is known, ``depth`` (16UC1 millimetres, REP 118).

    The parameter ``position`` says which of the frames is shown: each image stamped after it was set shows that one.
    The topics are reliable, because large images sent best effort are mostly lost.
    """

    def __init__(self, folder: FrameFolder) -> None:
        super().__init__("demo_camera")
        descriptor = ParameterDescriptor(description="Which frame of the folder is shown.")
        descriptor.integer_range = [IntegerRange(from_value=0, to_value=len(folder) - 1)]
        self.declare_parameter("position", 0, descriptor)
        self._folder = folder
        self._position = -1
        self._shown: dict[str, Image | CameraInfo] = {}
        self._outputs = {
            "image": self.create_publisher(Image, "image", reliable(1)),
            "depth": self.create_publisher(Image, "depth", reliable(1)),
            "camera_info": self.create_publisher(CameraInfo, "camera_info", reliable(1)),
        }
        self.create_timer(PERIOD, self._publish)

    def _publish(self) -> None:
        position = self.get_parameter("position").value
        if position != self._position:
            self._shown = to_messages(self._folder[position])
            self._position = position
        stamp = self.get_clock().now().to_msg()
        for topic, message in self._shown.items():
            message.header.stamp = stamp
            self._outputs[topic].publish(message)


def to_messages(frame: Frame) -> dict[str, Image | CameraInfo]:
    """Return the messages of a frame by topic, the calibration last, without stamps."""
    header = Header(frame_id=FRAME_ID)
    messages = {"image": to_image(header, "rgb8", frame.rgb)}
    if frame.depth is not None:
        millimetres = np.clip(np.rint(frame.depth * 1000.0), 0, 65535).astype("<u2")
        messages["depth"] = to_image(header, "16UC1", millimetres.view(np.uint8).reshape(*millimetres.shape, 2))
    return {**messages, "camera_info": to_camera_info(header, frame.camera)}


def to_camera_info(header: Header, camera: FrameCamera) -> CameraInfo:
    """Return the calibration of a camera without distortion; all zeros for one that was not calibrated."""
    message = CameraInfo(header=header, width=camera.width, height=camera.height)
    if camera.matrix.any():
        message.distortion_model, message.d = "plumb_bob", [0.0] * 5
        message.k = camera.matrix.ravel().tolist()
        message.r = np.eye(3).ravel().tolist()
        message.p = np.hstack([camera.matrix, np.zeros((3, 1))]).ravel().tolist()
    return message


def main(arguments: list[str] | None = None) -> int:
    """Play the folder that is the only argument until a signal ends the process."""
    node: DemoCamera | None = None
    try:
        rclpy.init(args=arguments)
        node = DemoCamera(FrameFolder(remove_ros_args(arguments or sys.argv)[1]))
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
