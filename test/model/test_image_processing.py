from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lisa_ros.model.image_processing import (
    LETTERBOX_COLOUR,
    PYRAMID_MEAN,
    PYRAMID_STD,
    ImageProcessor,
    fitted_size,
    letterboxed,
    padded_pixels,
)


@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        ((480, 640), (1024, 1024), (768, 1024)),
        ((1080, 1920), (1024, 1024), (576, 1024)),
        ((333, 1000), (1024, 1024), (341, 1024)),
        ((120, 100), (256, 256), (256, 213)),
        ((480, 640), (288, 384), (288, 384)),
        ((720, 1280), (288, 384), (216, 384)),
        ((640, 480), (288, 384), (288, 216)),
        ((1, 5000), (288, 384), (1, 384)),
    ],
)
def test_the_fitted_size_keeps_the_shape_and_rounds_half_up(size, limits, expected):
    assert fitted_size(size, limits) == expected


def test_pixels_are_normalised_and_the_padding_is_zero_at_the_right_and_the_bottom():
    rgb = np.full((20, 40, 3), 191, np.uint8)
    pixels = padded_pixels(rgb, (20, 40), (32, 64), PYRAMID_MEAN, PYRAMID_STD)
    assert pixels.shape == (1, 3, 32, 64)
    assert torch.equal(pixels[:, :, :20, :40], torch.full((1, 3, 20, 40), 0.5))
    assert pixels[:, :, 20:].abs().sum() == 0 and pixels[:, :, :, 40:].abs().sum() == 0


def test_channels_stay_in_their_order_when_resized():
    rgb = np.zeros((10, 10, 3), np.uint8)
    rgb[..., 0] = 255
    pixels = padded_pixels(rgb, (32, 32), (32, 32), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert (pixels[0, 0] == 255).all() and (pixels[0, 1:] == 0).all()


def test_a_letterboxed_image_is_a_square_with_the_image_in_its_middle():
    rgb = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    square = letterboxed(rgb)
    assert square.shape == (50, 50, 3)
    assert (square[10:40] == rgb).all()
    assert (square[:10] == LETTERBOX_COLOUR).all() and (square[40:] == LETTERBOX_COLOUR).all()


def test_crop_shows_the_centre_to_clip_and_pad_the_whole_image(golden_model):
    rgb = np.zeros((100, 300, 3), np.uint8)
    rgb[:, 250:] = 255
    cropped = ImageProcessor(golden_model.config)(rgb)
    padded = ImageProcessor(replace(golden_model.config, field_of_view="pad"))(rgb)
    assert cropped.pixel_values.shape == padded.pixel_values.shape == (1, 3, 224, 224)
    assert cropped.pixel_values.max() < 0 < padded.pixel_values.max()
    assert torch.equal(cropped.mask_pixel_values, padded.mask_pixel_values)


def test_one_small_eye_shares_its_pixels(tiny_text):
    images = ImageProcessor(tiny_text.config)(np.zeros((48, 96, 3), np.uint8))
    assert images.pixel_values is images.mask_pixel_values
    assert images.pixel_values.shape == (1, 3, 64, 96)
    assert (images.resized_sizes, images.original_sizes) == ([(48, 96)], [(48, 96)])
    moved = images.to(torch.device("cpu"), torch.bfloat16)
    assert moved.pixel_values is moved.mask_pixel_values and moved.pixel_values.dtype is torch.bfloat16


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((4, 4), np.uint8), ((4, 4, 4), np.uint8), ((0, 4, 3), np.uint8), ((4, 4, 3), np.float32)],
)
def test_what_is_no_rgb_image_is_quoted(tiny_text, shape, dtype):
    with pytest.raises(ValueError, match=rf"must be uint8 \[height, width, 3\] .* not {np.dtype(dtype)}"):
        ImageProcessor(tiny_text.config)(np.zeros(shape, dtype))
