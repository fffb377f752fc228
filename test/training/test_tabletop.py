from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lisa_ros.simulation.kinds import KINDS
from lisa_ros.simulation.requests.bank import load_bank
from lisa_ros.training.augmentation import AugmentationConfig
from lisa_ros.training.tabletop import CELL, KIND_INDEX, NUM_KINDS

NAMES = [kind.identifier for kind in KINDS]


@pytest.fixture
def moving(no_change):
    """Crops and flips in the colours of the frame."""
    return replace(no_change, smallest_crop=0.6, flip_chance=0.5)


def kinds_seen(sample):
    return {NAMES[index - 1] for index in sample.kinds.unique().tolist() if index}


def same(first, second):
    return first.pixel_values.equal(second.pixel_values) and [(r.text, r.answer) for r in first.requests] == [
        (r.text, r.answer) for r in second.requests
    ]


def masked(samples):
    return [(sample, request) for sample in samples for request in sample.requests if request.mask is not None]


def test_a_position_always_gives_the_same_sample_and_each_seed_another(frames, make_dataset):
    first, second, other = (make_dataset(frames, augmentation=AugmentationConfig(), seed=seed) for seed in (3, 3, 4))
    assert all(same(first[position], second[position]) for position in (5, 0, 13))
    assert not any(same(first[position], other[position]) for position in range(6))


def test_an_epoch_shows_every_frame_once_and_the_next_one_differently(frames, make_dataset):
    dataset = make_dataset(frames, augmentation=AugmentationConfig(smallest_crop=0.9))
    epochs = [[dataset[epoch * 6 + index] for index in range(6)] for epoch in range(2)]
    orders = [[min(KIND_INDEX[kind] for kind in kinds_seen(sample)) for sample in samples] for samples in epochs]
    assert sorted(orders[0]) == sorted(orders[1]) == [1, 4, 7, 10, 13, 16]
    assert orders[0] != orders[1]
    for order, sample in zip(orders[0], epochs[0], strict=True):
        assert not same(sample, epochs[1][orders[1].index(order)])


def test_a_single_frame_looks_different_in_every_epoch(write_frames, make_dataset):
    dataset = make_dataset(
        write_frames("one", [[("cup", (220, 30, 30), (20, 20, 100, 100))]]), augmentation=AugmentationConfig()
    )
    samples = [dataset[epoch] for epoch in range(4)]
    assert not any(same(samples[one], samples[other]) for one in range(4) for other in range(one))


def test_frames_of_all_folders_take_part(frames, write_frames, make_dataset):
    others = write_frames("others", [[(NAMES[30], (220, 30, 30), (20, 20, 100, 100))]])
    dataset = make_dataset(others, frames)
    assert len(dataset) == 7
    assert set().union(*(kinds_seen(dataset[index]) for index in range(7))) == {*NAMES[:18], NAMES[30]}


def test_a_mask_covers_the_pixels_of_its_kind_whatever_the_crop_and_flip(frames, make_dataset, moving):
    dataset = make_dataset(frames, augmentation=moving)
    pairs = masked([dataset[position] for position in range(12)])
    assert len(pairs) > 20
    for sample, request in pairs:
        assert request.mask.shape == (32, 48) and sample.kinds.shape == (16, 24)
        is_kind = sample.kinds == request.kind
        assert is_kind.any()
        assert (request.mask[1::2, 1::2][is_kind] > 0).all()
        assert is_kind[request.mask[1::2, 1::2] == 1].all()


def test_the_picture_moves_with_its_masks(frames, make_dataset, moving, colours):
    dataset = make_dataset(frames, augmentation=moving)
    for sample, request in masked([dataset[position] for position in range(12)]):
        inside = torch.nn.functional.avg_pool2d(request.mask[None], 3, 1, 1)[0] > 0.99
        pixels = (sample.pixel_values * 128 + 127)[:, ::2, ::2].permute(1, 2, 0)[inside]
        assert len(pixels)
        assert np.abs(pixels.mean(0).numpy() - colours[(request.kind - 1) % 3]).max() < 12


def test_a_mask_is_the_share_of_target_pixels_and_holds_all_instances(write_frames, make_dataset):
    boxes = [(8, 8, 90, 60), (110, 10, 186, 67)]
    folder = write_frames("cups", [[("cup", (220, 30, 30), box) for box in boxes]])
    (_, request), *_ = masked([make_dataset(folder)[0]])
    assert float(request.mask.sum()) * 4 == pytest.approx(sum((r - x) * (b - y) / 4 for x, y, r, b in boxes), rel=0.03)
    assert float(request.mask[5, 10]) == float(request.mask[5, 40]) == 1.0


def test_only_what_is_in_view_has_a_mask(frames, make_dataset):
    requests = [r for position in range(60) for r in make_dataset(frames)[position].requests]
    absent, present = ([r for r in requests if word in r.answer] for word in ("[REJ]", "[SEG]"))
    assert len(absent) + len(present) == len(requests) and len(absent) > 30
    assert all(r.mask is None for r in absent) and all(r.mask is not None for r in present)
    bank = load_bank()
    assert {0} < {r.kind for r in absent}
    assert all(bank.kinds[NAMES[r.kind - 1]].name in r.answer for r in absent if r.kind)


def test_requests_and_masks_are_as_many_as_asked_for(frames, make_dataset):
    sample = make_dataset(frames, requests_per_frame=9, masks_per_frame=2)[0]
    assert len(sample.requests) == 9 and len(masked([sample])) == 2
    assert sum("[SEG]" in r.answer for r in sample.requests) > 2
    assert make_dataset(frames, requests_per_frame=0)[0].requests == []


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.0), (1.0, 1.0)])
def test_bare_masks_answer_requests_for_what_is_there(frames, make_dataset, share, expected):
    dataset = make_dataset(frames, bare_mask_share=share, requests_per_frame=20)
    present = [r.answer for r in dataset[0].requests if "[REJ]" not in r.answer]
    absent = [r.answer for r in dataset[0].requests if "[REJ]" in r.answer]
    assert absent and np.mean([answer == "[SEG]." for answer in present]) == expected


def test_what_a_crop_hardly_shows_is_neither_asked_for_nor_denied(write_frames, make_dataset):
    objects = [("cup", (220, 30, 30), (20, 20, 150, 110)), ("fork", (30, 220, 30), (160, 20, 168, 26))]
    folder = write_frames("two", [objects])
    fork = KIND_INDEX["fork"]
    asked = {smallest: [] for smallest in (5, 60)}
    for smallest, kinds in asked.items():
        dataset = make_dataset(folder, smallest_target=smallest, requests_per_frame=20)
        kinds += [r.kind for position in range(20) for r in dataset[position].requests]
    assert fork in asked[5] and fork not in asked[60]


def test_presence_tells_the_kinds_of_every_cell(write_frames, make_dataset):
    folder = write_frames(
        "cell", [[("cup", (220, 30, 30), (64, 0, 128, 64)), ("fork", (30, 220, 30), (64, 0, 80, 16))]]
    )
    presence = make_dataset(folder)[0].presence
    assert presence.shape == ((64 // CELL) * (96 // CELL), NUM_KINDS)
    cell = [0.0] * NUM_KINDS
    cell[KIND_INDEX["cup"]] = cell[KIND_INDEX["fork"]] = 1.0
    assert presence[1].tolist() == cell
    assert presence[[0, 2, 3, 4, 5]].sum(0).tolist() == [5.0] + [0.0] * (NUM_KINDS - 1)
