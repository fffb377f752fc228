from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import rclpy
import yaml
from ament_index_python import get_package_share_directory
from rclpy.parameter import Parameter

from lisa_ros.node.parameters import ParameterError, Parameters, declare, judge, read

NAMES = [field.name for field in fields(Parameters)]


@pytest.fixture
def make_node(domain):
    context = rclpy.Context()
    context.init(domain_id=domain)
    nodes = []

    def make(**overrides):
        values = [Parameter(name, value=value) for name, value in overrides.items()]
        nodes.append(rclpy.create_node("lisa", context=context, parameter_overrides=values))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    context.shutdown()


def test_declared_parameters_read_back_as_the_defaults(make_node):
    node = make_node()
    declare(node)
    assert read(node) == Parameters()


def test_overrides_are_read(make_node):
    node = make_node(backend="scripted", threads=3, overlay_color=[1, 2, 3], score_threshold=0.25)
    declare(node)
    values = read(node)
    assert (values.backend, values.threads, values.score_threshold) == ("scripted", 3, 0.25)
    assert values.overlay_color == (1, 2, 3)


def test_every_parameter_is_described_with_what_is_valid(make_node):
    node = make_node()
    declare(node)
    for name in NAMES:
        assert len(node.describe_parameter(name).description) > 30, name
    threads, alpha = node.describe_parameter("threads"), node.describe_parameter("overlay_alpha")
    assert (threads.integer_range[0].from_value, threads.integer_range[0].to_value) == (0, 1024)
    assert (alpha.floating_point_range[0].from_value, alpha.floating_point_range[0].to_value) == (0.0, 1.0)
    assert "bfloat16" in node.describe_parameter("dtype").additional_constraints
    assert [name for name in NAMES if node.describe_parameter(name).read_only] == ["autostart"]


@pytest.mark.parametrize(
    ("name", "value", "quoted", "valid"),
    [
        ("backend", "llama", "'llama'", "lisa, scripted"),
        ("dtype", "int4", "'int4'", "auto, float32, bfloat16, float16"),
        ("quantization", "2bit", "'2bit'", "none, 8bit, 4bit"),
        ("device", "gpu", "'gpu'", "auto, cpu, cuda or cuda:<index>"),
        ("device", "cuda:", "'cuda:'", "cuda:<index>"),
        ("mode", "fast", "'fast'", "auto, mask_first"),
        ("queue_policy", "best", "'best'", "newest, oldest"),
        ("image_transport", "theora", "'theora'", "raw, compressed"),
        ("image_reliability", "yes", "'yes'", "auto, reliable, best_effort"),
        ("threads", -1, "-1", "1024"),
        ("max_new_tokens", 0, "0", "1024"),
        ("queue_size", 0, "0", "100"),
        ("score_threshold", 1.5, "1.5", "1.0"),
        ("image_timeout", -2.0, "-2.0", "3600"),
        ("overlay_alpha", float("nan"), "nan", "1.0"),
        ("overlay_color", [1, 2], "[1, 2]", "three numbers from 0 to 255"),
        ("overlay_color", [1, 2, 256], "[1, 2, 256]", "three numbers from 0 to 255"),
        ("threads", "many", "'many'", "INTEGER"),
        ("model", 7, "'7'", "STRING"),
    ],
)
def test_an_invalid_override_is_refused_quoting_it_and_saying_what_is_valid(make_node, name, value, quoted, valid):
    with pytest.raises(ParameterError) as raised:
        declare(make_node(**{name: value}))
    sentence = str(raised.value)
    assert name in sentence and quoted in sentence and valid in sentence and "\n" not in sentence


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1"])
def test_valid_devices(device):
    assert Parameters(device=device).device == device


def test_some_parameters_change_only_while_the_node_is_unconfigured():
    change = [Parameter("model", value="other")]
    refused = judge(Parameters(), change, is_unconfigured=False)
    assert not refused.successful and "'other'" in refused.reason and "cleanup" in refused.reason
    assert judge(Parameters(), change, is_unconfigured=True).successful


def test_other_parameters_change_at_any_time_if_they_are_valid():
    assert judge(Parameters(), [Parameter("max_new_tokens", value=8)], is_unconfigured=False).successful
    assert judge(Parameters(), [Parameter("use_sim_time", value=True)], is_unconfigured=False).successful
    refused = judge(Parameters(), [Parameter("mode", value="fast")], is_unconfigured=False)
    assert not refused.successful and "'fast'" in refused.reason and "mask_first" in refused.reason


def test_the_configuration_file_shows_every_parameter_with_its_default():
    path = Path(get_package_share_directory("lisa_ros"), "config", "lisa.yaml")
    written = yaml.safe_load(path.read_text())["/**"]["ros__parameters"]
    assert {name: tuple(v) if isinstance(v, list) else v for name, v in written.items()} == {
        field.name: field.default for field in fields(Parameters)
    }
