"""The launch file: what it declares and which process it starts.

``launch`` and ``launch_ros`` are not on PyPI. So a double of the few classes that the file uses resolves the arguments,
and the real node is started with the result; where ``ros2`` exists, the real ``ros2 launch`` runs too.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import types
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from ament_index_python import get_package_share_directory

from lisa_ros.msg import Result
from lisa_ros.node.parameters import Parameters

LAUNCH_FILE = Path(get_package_share_directory("lisa_ros"), "launch", "lisa.launch.py")


@dataclass
class DoubleOfLaunchConfiguration:
    name: str

    def perform(self, context: dict[str, str]) -> str:
        return context[self.name]


@dataclass
class DoubleOfParameterValue:
    value: str
    value_type: type


def double_of_launch() -> dict[str, types.ModuleType]:
    """Stand-ins for the classes of launch and launch_ros that the launch file uses; they record their arguments."""

    def record(**fixed: str) -> Any:
        return lambda *args, **options: types.SimpleNamespace(args=args, **options, **fixed)

    contents = {
        "launch": {"LaunchDescription": list, "LaunchContext": dict},
        "launch.actions": {
            "DeclareLaunchArgument": lambda name, **options: types.SimpleNamespace(name=name, **options),
            "OpaqueFunction": record(),
        },
        "launch.substitutions": {"LaunchConfiguration": DoubleOfLaunchConfiguration},
        "launch_ros": {},
        "launch_ros.actions": {"Node": record()},
        "launch_ros.parameter_descriptions": {"ParameterValue": DoubleOfParameterValue},
    }
    modules = {name: types.ModuleType(name) for name in contents}
    for name, classes in contents.items():
        vars(modules[name]).update(classes)
    return modules


@pytest.fixture
def description(monkeypatch):
    """What the launch file describes, by the double."""
    for name, module in double_of_launch().items():
        monkeypatch.setitem(sys.modules, name, module)
    specification = importlib.util.spec_from_file_location("lisa_launch", LAUNCH_FILE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.generate_launch_description()


@pytest.fixture
def resolve(description, tmp_path):
    """Return the action that starts the node, and its arguments as ``ros2 launch`` would write them."""

    def resolve(**given: str) -> tuple[Any, list[str]]:
        *declared, function = description
        values = {argument.name: argument.default_value for argument in declared}
        assert set(given) <= set(values)
        (node,) = function.function({**values, **given})
        arguments = ["-r", f"__node:={node.name}", "-r", f"__ns:={node.namespace or '/'}", *node.ros_arguments]
        for source, target in node.remappings:
            arguments += ["-r", f"{source}:={target}"]
        for number, parameters in enumerate(node.parameters):
            arguments += ["--params-file", parameters_file(parameters, tmp_path / f"{number}.yaml")]
        return node, arguments

    return resolve


def parameters_file(parameters: str | dict[str, Any], path: Path) -> str:
    if isinstance(parameters, str):
        return parameters
    values = {
        name: value.value_type(value.value) if isinstance(value, DoubleOfParameterValue) else value
        for name, value in parameters.items()
    }
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": values}}))
    return str(path)


def test_every_argument_is_described_and_has_a_default(description):
    *declared, _ = description
    names = {argument.name for argument in declared}
    assert names == {
        *("namespace", "params_file", "image", "camera_info", "depth", "backend", "model", "device", "quantization"),
        *("autostart", "use_sim_time", "log_level", "respawn"),
    }
    for argument in declared:
        assert len(argument.description) > 25 and argument.description.endswith(".")
        assert isinstance(argument.default_value, str)


def test_by_default_the_shipped_parameters_are_used_and_a_dead_process_is_replaced(resolve):
    node, _ = resolve()
    assert (node.package, node.executable, node.name) == ("lisa_ros", "lisa_node", "lisa")
    file, overrides = node.parameters
    assert Path(file).resolve() == Path(get_package_share_directory("lisa_ros"), "config", "lisa.yaml").resolve()
    assert overrides == {"use_sim_time": False}
    assert node.respawn is True
    assert resolve(respawn="false")[0].respawn is False


def test_given_arguments_override_the_file_with_their_types(resolve):
    node, _ = resolve(backend="scripted", model="7", device="cpu", autostart="False", use_sim_time="true")
    overrides = node.parameters[1]
    assert overrides["model"] == DoubleOfParameterValue("7", str)
    assert overrides["autostart"] is False and overrides["use_sim_time"] is True
    assert set(overrides) <= {field.name for field in fields(Parameters)} | {"use_sim_time"}


def test_a_flag_that_is_neither_true_nor_false_is_quoted(resolve):
    with pytest.raises(ValueError, match="respawn is 'maybe'; it must be true or false"):
        resolve(respawn="maybe")


def test_the_real_node_runs_with_the_resolved_arguments(resolve, start_node, make_peer, make_image):
    node, arguments = resolve(
        backend="scripted", namespace="/arm", image="/camera/color/image_raw", log_level="debug", model="7"
    )
    start_node(*arguments)
    peer = make_peer(node="/arm/lisa", image="/camera/color/image_raw")
    peer.wait_for("active")
    assert peer.ask_about(make_image(), "where?").verdict == Result.FOUND


@pytest.mark.skipif(shutil.which("ros2") is None, reason="ros2 launch is not installed")
def test_the_real_ros2_launch_starts_the_node_and_ctrl_c_ends_it(domain, make_peer, make_image):
    process = subprocess.Popen(
        ["ros2", "launch", "lisa_ros", "lisa.launch.py", "backend:=scripted", "namespace:=/arm", "image:=/front"],
        env={**os.environ, "ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        peer = make_peer(node="/arm/lisa", image="/front")
        peer.wait_for("active")
        assert peer.ask_about(make_image(), "where?").verdict == Result.FOUND
    finally:
        # Like Ctrl-C in a terminal: launch and the node get it, and launch passes it on to the node once more.
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert "process has finished cleanly" in output and "Traceback" not in output, output
