from __future__ import annotations

import numpy as np
import pytest
import torch

from lisa_ros.answers import Request, Verdict, box_of
from lisa_ros.segmenter import SegmenterError, make_segmenter


@pytest.fixture
def segmenter(models):
    sources = {"language": models["llava-tiny"], "segmenter": models["owlvit-tiny"], "mask_model": models["sam-tiny"]}
    return make_segmenter("two_stage", device="cpu", box_threshold=0.0, **sources)


def test_every_box_becomes_a_mask_best_first(segmenter, rgb):
    *_, last = segmenter.ask(segmenter.look(rgb), Request("what cuts bread?"))
    objects = last.answer.objects
    assert segmenter.name == "two_stage(llava-tiny + owlvit-tiny + sam-tiny)"
    assert last.answer.verdict is Verdict.FOUND and len(objects) > 1
    assert [one.score for one in objects] == sorted((one.score for one in objects), reverse=True)
    for found in objects:
        assert found.label == "knife" and found.mask.shape == rgb.shape[:2] and found.box == box_of(found.mask)
        assert found.score == pytest.approx(found.seg_probability * found.predicted_iou)
        assert 0.0 < found.seg_probability <= 1.0 and 0.0 <= found.predicted_iou <= 1.0


def test_boxes_and_masks_are_those_of_the_models_run_as_usual(segmenter, rgb):
    cutter = segmenter.cutter
    looked = cutter.look(rgb)
    scores, boxes = cutter._find(looked, "knife")
    inputs = cutter.sam_processor(images=[rgb], input_boxes=[boxes.tolist()], return_tensors="pt")
    assert torch.allclose(cutter._resized(boxes, looked), inputs["input_boxes"].float(), atol=1e-3)
    with torch.inference_mode():
        outputs = cutter.sam(
            pixel_values=inputs["pixel_values"], input_boxes=inputs["input_boxes"].float(), multimask_output=False
        )
    expected = cutter.sam_processor.image_processor.post_process_masks(
        outputs.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"]
    )[0][:, 0].numpy()
    found = {one.seg_probability: one.mask for one in cutter.cut(looked, "knife")}
    wanted = {score: mask for score, mask in zip(scores.tolist(), expected, strict=True) if mask.any()}
    assert found.keys() == wanted.keys() and any(0.1 < mask.mean() < 0.9 for mask in wanted.values())
    assert all(np.mean(found[score] != wanted[score]) < 1e-3 for score in wanted)


def test_no_box_above_the_threshold_is_not_present(segmenter, rgb):
    segmenter.cutter.box_threshold = 1.0
    *_, last = segmenter.ask(segmenter.look(rgb), Request("what cuts bread?"))
    assert (last.answer.verdict, last.answer.objects) == (Verdict.NOT_PRESENT, ())


@pytest.mark.parametrize(
    ("mask_model", "words"),
    [("", "finds boxes; name a mask_model that cuts them out"), ("clipseg-tiny", "is a 'clipseg'; choose a 'sam'")],
)
def test_a_detector_needs_a_sam(models, mask_model, words):
    with pytest.raises(SegmenterError, match=words):
        make_segmenter(
            "two_stage",
            language=models["llava-tiny"],
            segmenter=models["owlvit-tiny"],
            mask_model=models.get(mask_model, ""),
        )
