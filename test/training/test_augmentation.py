from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lisa_ros.training.augmentation import AugmentationConfig, augmented, resized

IDS = np.zeros((96, 128), np.uint8)
IDS[10:50, 20:60], IDS[60:90, 70:120] = 1, 2
RGB = np.where(IDS[..., None] == 1, (200, 40, 40), np.where(IDS[..., None] == 2, (40, 40, 200), 120)).astype(np.uint8)


def run(config, seed=0, size=(48, 64)):
    return augmented(RGB, IDS, size, config, np.random.default_rng(seed))


def test_the_same_generator_state_gives_the_same_picture(no_change):
    first, second, other = (run(AugmentationConfig(), seed) for seed in (1, 1, 2))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])
    picture, ids = run(no_change)
    plain, plain_ids = resized(RGB, IDS, (48, 64))
    assert np.array_equal(picture, plain) and np.array_equal(ids, plain_ids)


@pytest.mark.parametrize("size", [(48, 64), (192, 256)])
def test_the_result_has_the_size_asked_for_and_no_new_ids(size):
    picture, ids = run(AugmentationConfig(), size=size)
    assert picture.shape == (*size, 3) and picture.dtype == ids.dtype == np.uint8
    assert ids.shape == size and set(np.unique(ids)) <= {0, 1, 2}


def test_a_flip_mirrors_both(no_change):
    picture, ids = run(replace(no_change, flip_chance=1.0))
    plain, plain_ids = resized(RGB, IDS, (48, 64))
    assert np.array_equal(picture, plain[:, ::-1]) and np.array_equal(ids, plain_ids[:, ::-1])


def test_crops_are_no_smaller_than_the_smallest(no_change):
    areas = [np.mean(run(replace(no_change, smallest_crop=0.5), seed)[1] == 1) for seed in range(40)]
    whole = np.mean(IDS == 1)
    assert max(areas) <= 4.3 * whole and max(areas) > 1.5 * whole


@pytest.mark.parametrize("change", ["brightness", "contrast", "saturation", "warmth", "noise_chance", "blur_chance"])
def test_colours_change_and_ids_stay(no_change, change):
    picture, ids = run(replace(no_change, noise_sigma=8.0, **{change: 1.0}))
    plain, plain_ids = resized(RGB, IDS, (48, 64))
    assert not np.array_equal(picture, plain) and np.array_equal(ids, plain_ids)
