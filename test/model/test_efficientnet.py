from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from lisa_ros.model.efficientnet import (
    BATCH_NORM_EPSILON,
    FEATURE_CHANNELS,
    EfficientNetLite0,
    SameConv2d,
    folded_state_dict,
)


def tensorflow_same(features, weight, bias, stride):
    """TensorFlow's definition: ceil(size / stride) outputs, the odd pixel of padding after."""
    padding = []
    for size in reversed(features.shape[2:]):
        total = max((math.ceil(size / stride) - 1) * stride + weight.shape[2] - size, 0)
        padding += [total // 2, total - total // 2]
    return functional.conv2d(functional.pad(features, padding), weight, bias, stride)


@pytest.mark.parametrize(("kernel_size", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1), (5, 2)])
def test_padding_is_that_of_tensorflow(kernel_size, stride):
    layer = SameConv2d(3, 4, kernel_size, stride)
    features = torch.randn(2, 3, 6, 10)
    assert torch.allclose(layer(features), tensorflow_same(features, layer.weight, layer.bias, stride), atol=1e-6)


def test_features_come_at_four_strides():
    with torch.inference_mode():
        features = EfficientNetLite0()(torch.randn(1, 3, 64, 96))
    sizes = [(16, 24), (8, 12), (4, 6), (2, 3)]
    expected = [(1, channels, *size) for channels, size in zip(FEATURE_CHANNELS, sizes, strict=True)]
    assert [tuple(level.shape) for level in features] == expected


def test_folded_batch_norms_compute_the_same():
    network = EfficientNetLite0().eval()
    published, norms = published_state_dict(network)
    network.load_state_dict(folded_state_dict(published))
    for name in ("stem", "blocks.0.depthwise", "blocks.3.expand", "blocks.15.project"):
        folded = network.get_submodule(name)
        features = torch.randn(1, folded.in_channels, 8, 8)
        weight, norm = norms[name]
        total = folded.kernel_size[0] - folded.stride[0]
        padded = functional.pad(features, (total // 2, total - total // 2) * 2)
        plain = functional.conv2d(padded, weight, None, folded.stride, groups=folded.groups)
        with torch.inference_mode():
            assert torch.allclose(folded(features), norm(plain), rtol=1e-4, atol=1e-3), name


def published_state_dict(network):
    """Random weights under the published names, with the norm that follows every convolution."""
    names = {"stem": ("_conv_stem", "_bn0")}
    for index, block in enumerate(network.blocks):
        start = f"_blocks.{index}."
        if block.expand is not None:
            names[f"blocks.{index}.expand"] = (f"{start}_expand_conv", f"{start}_bn0")
        names[f"blocks.{index}.depthwise"] = (f"{start}_depthwise_conv", f"{start}_bn1")
        names[f"blocks.{index}.project"] = (f"{start}_project_conv", f"{start}_bn2")
    published, norms = {"_fc.weight": torch.zeros(1000, 1280)}, {}
    for ours, (convolution, norm_name) in names.items():
        weight = torch.randn_like(network.get_submodule(ours).weight)
        norm = nn.BatchNorm2d(len(weight), eps=BATCH_NORM_EPSILON).eval()
        for value in (norm.weight, norm.bias, norm.running_mean):
            nn.init.normal_(value)
        nn.init.uniform_(norm.running_var, 0.5, 2.0)
        published[f"{convolution}.weight"] = weight
        published |= {f"{norm_name}.{key}": value.detach() for key, value in norm.state_dict().items()}
        norms[ours] = (weight, norm)
    return published, norms
