from __future__ import annotations

import numpy as np
import pytest
import torch

from lisa_ros.answers import box_of
from lisa_ros.two_stage.cutting import load_cutter


@pytest.fixture
def cutter(models):
    return load_cutter(models["clipseg-tiny"], "", device=torch.device("cpu"), threshold=0.05, box_threshold=0.0)


@torch.inference_mode()
def probabilities_of(cutter, rgb, name):
    """CLIPSeg as its authors run it: image and name in one pass."""
    inputs = cutter.processor(text=[name], images=[rgb], return_tensors="pt")
    logits = cutter.model(**inputs).logits.reshape(1, 1, 32, 32)
    return torch.sigmoid(torch.nn.functional.interpolate(logits, rgb.shape[:2], mode="bilinear"))[0, 0].numpy()


@pytest.mark.parametrize("name", ["knife", "the cup"])
def test_the_mask_is_that_of_the_whole_model(cutter, rgb, name):
    expected = probabilities_of(cutter, rgb, name)
    cutter.threshold = float(np.median(expected))
    (found,) = cutter.cut(cutter.look(rgb), name)
    clear = np.abs(expected - cutter.threshold) > 1e-5
    assert np.array_equal(found.mask[clear], (expected > cutter.threshold)[clear])
    assert 0.3 < found.mask.mean() < 0.7 and found.box == box_of(found.mask) and found.label == name
    assert found.score == found.seg_probability == pytest.approx(expected[found.mask].mean(), abs=1e-5)


def test_the_mask_depends_on_the_name_and_the_image(cutter, rgb):
    knife, cup = (probabilities_of(cutter, rgb, name) for name in ("knife", "cup"))
    assert np.abs(knife - cup).max() > 1e-3
    cutter.threshold = float(np.median(knife))
    masks = [cutter.cut(cutter.look(image), "knife")[0].mask for image in (rgb, rgb[::-1].copy())]
    assert not np.array_equal(*masks)


def test_nothing_above_the_threshold_is_no_object(cutter, rgb):
    cutter.threshold = 1.0
    assert cutter.cut(cutter.look(rgb), "knife") == []


def test_a_name_longer_than_the_model_reads_is_cut_short(cutter, rgb):
    cutter.cut(cutter.look(rgb), "knife " * 50)
