"""Start the node ``lisa``: ``ros2 launch lisa_ros lisa.launch.py image:=/camera/image_raw``."""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

PARAMS_FILE = str(Path(__file__).parents[1] / "config" / "lisa.yaml")

ARGUMENTS = {
    "namespace": ("", "Namespace of the node; its topics are then <namespace>/lisa/query and so on."),
    "params_file": (PARAMS_FILE, "YAML file with the parameters of the node."),
    "image": ("image", "Topic of the colour image; <image>/compressed with the parameter image_transport compressed."),
    "camera_info": ("camera_info", "Topic of the calibration of that camera, for outputs in 3-D; not read yet."),
    "depth": ("depth", "Topic of the depth image aligned with the colour image, for outputs in 3-D; not read yet."),
    "backend": ("", "Which network answers: lisa or scripted; empty for what params_file says."),
    "model": ("", "Folder or Hugging Face id of the checkpoint; empty for what params_file says."),
    "device": ("", "auto, cpu, cuda or cuda:<index>; empty for what params_file says."),
    "quantization": ("", "Bits of the language model's weights: none, 8bit or 4bit; empty for what params_file says."),
    "autostart": ("", "Whether the node activates itself: true or false; empty for what params_file says."),
    "use_sim_time": ("false", "Whether time comes from the topic /clock: true or false."),
    "log_level": ("info", "What is written to the log: debug, info, warn, error or fatal."),
    "respawn": ("true", "Whether the node is started again, after two seconds, if its process dies: true or false."),
}
"""Argument -> default and description."""


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the node with their values."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start_node)])


def start_node(context: LaunchContext) -> list[Node]:
    """Return the action that starts the process."""
    values = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    return [
        Node(
            package="lisa_ros",
            executable="lisa_node",
            name="lisa",
            namespace=values["namespace"],
            parameters=[values["params_file"], overrides(values)],
            remappings=[(name, values[name]) for name in ("image", "camera_info", "depth")],
            ros_arguments=["--log-level", values["log_level"]],
            respawn=is_true("respawn", values["respawn"]),
            respawn_delay=2.0,
            output="screen",
            emulate_tty=True,
        )
    ]


def overrides(values: dict[str, str]) -> dict[str, object]:
    """Return the parameters that the arguments set on top of the file."""
    # Typed, because launch would read a model called 7 or null as a number or as nothing.
    texts = {
        name: ParameterValue(values[name], value_type=str)
        for name in ("backend", "model", "device", "quantization")
        if values[name]
    }
    flags = {name: is_true(name, values[name]) for name in ("autostart", "use_sim_time") if values[name]}
    return {**texts, **flags}


def is_true(name: str, value: str) -> bool:
    """Return the truth of an argument written as ``true`` or ``false``, in upper or lower case."""
    if value.lower() not in ("true", "false"):
        raise ValueError(f"The launch argument {name} is {value!r}; it must be true or false.")
    return value.lower() == "true"
