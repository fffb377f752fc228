from __future__ import annotations

import numpy as np
import pytest

from lisa_ros.datasets.records import ItemError
from lisa_ros.simulation.requests.bank import load_bank
from lisa_ros.training.tabletop_source import TabletopSource


def samples_of(source, count=8):
    return [source.sample(index, np.random.default_rng(seed)) for seed in range(count) for index in range(len(source))]


def test_every_request_is_a_conversation_and_every_seg_has_its_mask(frames):
    for sample in samples_of(TabletopSource(frames, requests_per_frame=5)):
        assert len(sample.conversations) == 5 and all(len(turns) == 1 for turns in sample.conversations)
        answers = [turns[0].answer for turns in sample.conversations]
        assert all(answer.count("[SEG]") + answer.count("[REJ]") == 1 for answer in answers)
        assert sample.masks.dtype == np.bool_
        assert sample.masks.shape == (sum("[SEG]" in answer for answer in answers), *sample.rgb.shape[:2])


def test_a_mask_covers_what_its_answer_names_at_full_size(frames):
    bank, found = load_bank(), 0
    for index in range(len(frames)):
        frame = frames[index]
        sample = TabletopSource(frames, bare_mask_share=0.0).sample(index, np.random.default_rng(index))
        answers = [turns[0].answer for turns in sample.conversations if "[SEG]" in turns[0].answer]
        assert np.array_equal(sample.rgb, frame.rgb) and str(frames.indices[index]) in sample.source
        for answer, mask in zip(answers, sample.masks, strict=True):
            openings = [bank.kinds[placed.kind].opening(False) + " [SEG]" for placed in frame.objects]
            (number,) = (number for number, opening in enumerate(openings, 1) if answer.startswith(opening))
            assert np.array_equal(mask, frame.instance_ids == number)
            found += 1
    assert found > 6


def test_all_instances_of_a_kind_are_one_mask(write_frames):
    boxes = [(8, 8, 90, 60), (110, 10, 186, 67)]
    folder = write_frames("cups", [[("cup", (220, 30, 30), box) for box in boxes]])
    masks = [mask for sample in samples_of(TabletopSource(folder)) for mask in sample.masks]
    assert masks and all(np.array_equal(mask, folder[0].instance_ids > 0) for mask in masks)


def test_an_empty_table_is_answered_without_masks(write_frames):
    for sample in samples_of(TabletopSource(write_frames("empty", [[]]))):
        assert sample.masks.shape == (0, 128, 192)
        assert all("[REJ]" in turns[0].answer for turns in sample.conversations)


@pytest.mark.parametrize(("share", "expected"), [(0.0, set()), (1.0, {"[SEG]."})])
def test_bare_masks_answer_as_often_as_asked_for(frames, share, expected):
    answers = {
        turns[0].answer
        for sample in samples_of(TabletopSource(frames, bare_mask_share=share))
        for turns in sample.conversations
        if "[SEG]" in turns[0].answer
    }
    assert answers and (answers == expected if expected else "[SEG]." not in answers)


def test_the_same_generator_draws_the_same(frames):
    first, second = (TabletopSource(frames).sample(2, np.random.default_rng(9)) for _ in range(2))
    assert first.conversations == second.conversations and np.array_equal(first.masks, second.masks)
    assert first.conversations != TabletopSource(frames).sample(2, np.random.default_rng(10)).conversations


def test_a_damaged_frame_is_an_error_of_the_item(write_frames):
    folder = write_frames("one", [[("cup", (220, 30, 30), (20, 20, 100, 100))]] * 2)
    (folder.path / "frames" / "000001.jpg").write_bytes(b"no picture")
    source = TabletopSource(folder)
    assert len(source) == 2 and source.sample(0, np.random.default_rng(0)).rgb.any()
    with pytest.raises(ItemError, match=r"one, frame 1 cannot be used: .*000001"):
        source.sample(1, np.random.default_rng(0))


def test_a_frame_with_an_object_of_another_world_is_an_error_of_the_item(write_frames):
    source = TabletopSource(write_frames("odd", [[("spaceship", (220, 30, 30), (20, 20, 100, 100))]]))
    with pytest.raises(ItemError, match="frame 0 cannot be used: There is no kind 'spaceship'"):
        source.sample(0, np.random.default_rng(0))


def test_what_is_hardly_seen_is_neither_asked_for_nor_denied(write_frames):
    objects = [("cup", (220, 30, 30), (20, 20, 150, 110)), ("fork", (30, 220, 30), (160, 20, 162, 24))]
    source = TabletopSource(write_frames("two", [objects]), requests_per_frame=60)
    answers = [turns[0].answer for sample in samples_of(source) for turns in sample.conversations]
    assert len(answers) == 480 and not any("fork" in answer for answer in answers)
    assert any("cup" in answer for answer in answers)
