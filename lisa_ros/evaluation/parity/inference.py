"""The reference's generations and the forced forward of its validation, in fp32 and in bf16."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lisa_ros.engine.generation import SegMasks, decode_states, forced_forward, generate, positions_before_seg
from lisa_ros.evaluation.metrics import IGNORE, intersection_and_union, intersection_over_union
from lisa_ros.evaluation.parity.comparison import Arrays, Findings, masks_as_recorded
from lisa_ros.evaluation.parity.recording import ParityError, of_case, prepared_image, required
from lisa_ros.model.modeling import ImageInputs, LisaModel
from lisa_ros.model.vision import clip_patch_features

VALIDATION = "val"


def compare_generation(model: LisaModel, inputs: Arrays, outputs: Arrays, case: str, findings: Findings) -> None:
    """Answer one prompt as the reference did."""
    given, expected = of_case(inputs, case), of_case(outputs, case)
    required(expected, "output_ids", case)
    images = prepared_image(model, given, case, findings)
    findings.compare(case, _generated(model, images, given, case), expected)


def _generated(model: LisaModel, images: ImageInputs, given: Arrays, case: str) -> Arrays:
    input_ids = torch.from_numpy(required(given, "input_ids", case)[0])
    answer = generate(model, images, input_ids, int(required(given, "max_new_tokens", case)))
    with torch.inference_mode():
        seen = {
            "clip_features": clip_patch_features(model.vision_tower, images.pixel_values),
            "image_tokens": model.encode_image_for_language(images),
            "sam_image_embedding": model.encode_image_for_masks(images).image_embeddings,
        }
    said = {
        "output_ids": answer.output_ids[None],
        "last_hidden": answer.hidden_states[None],
        "seg_positions": answer.seg_positions,
        "step_logits": answer.step_logits,
        "seg_hidden": answer.masks.hidden_states,
    }
    # The reference looks at the image once for every new token, where one look is enough.
    steps = {"n_clip_calls": np.array(len(answer.step_logits))}
    return {name: value.numpy() for name, value in (seen | said).items()} | steps | _of_masks(answer.masks)


def _of_masks(masks: SegMasks) -> Arrays:
    return {
        "seg_embeds": masks.embeddings.numpy(),
        "low_res_logits": masks.low_res_masks.numpy(),
        "iou_predictions": masks.iou_predictions.numpy(),
        "mask_logits": masks.mask_logits.numpy(),
    }


def compare_validation(model: LisaModel, given: Arrays, expected: Arrays, findings: Findings) -> None:
    """Read whole conversations about one image and score their masks."""
    images = prepared_image(model, given, VALIDATION, findings)
    expected = {"mask_logits" if name == "pred_mask_logits" else name: value for name, value in expected.items()}
    findings.compare(VALIDATION, _validated(model, images, given, expected.get("mask_logits")), expected)


def _validated(model: LisaModel, images: ImageInputs, given: Arrays, expected_logits: NDArray[Any] | None) -> Arrays:
    """Run the forced forward and score its masks per class, background first, as the reference's validation does."""
    ids, attention = (torch.from_numpy(required(given, name, VALIDATION)) for name in ("input_ids", "attention_mask"))
    masks = forced_forward(model, images, ids, attention)
    truths = required(given, "gt_masks", VALIDATION)
    found, _ = masks_as_recorded(masks.mask_logits.numpy(), expected_logits)
    if found.shape != truths.shape:
        raise ParityError(f"The recording of {VALIDATION} has gt_masks {truths.shape} for masks {found.shape}.")
    counts = np.array([_class_counts(mask, truth) for mask, truth in zip(found, truths, strict=True)])
    scores = [[intersection_over_union(*pair) for pair in classes] for classes in counts.tolist()]
    totals = counts.sum(axis=0)
    scored = {"intersection": totals[:, 0], "union": totals[:, 1], "acc_iou": np.mean(scores, axis=0)}
    return scored | _of_masks(masks)


def _class_counts(mask: NDArray[np.bool_], truth: NDArray[np.uint8]) -> list[tuple[int, int]]:
    background = np.where(truth == IGNORE, IGNORE, truth == 0).astype(np.uint8)
    return [intersection_and_union(~mask, background), intersection_and_union(mask, truth)]


def with_bf16_weights(model: LisaModel) -> LisaModel:
    """Return a copy with bf16 weights; what is computed from the configuration stays fp32."""
    rounded = copy.deepcopy(model)
    for parameter in rounded.parameters():
        parameter.data = parameter.data.to(torch.bfloat16)
    return rounded


def compare_bf16(rounded: LisaModel, inputs: Arrays, outputs: Arrays, case: str, findings: Findings) -> None:
    """Read the answer that the reference gave in bf16 and compare loosely.

    The recorded ids are given, because rounding may decide between two words that are nearly as likely.
    """
    given, expected = of_case(inputs, case), of_case(outputs, case)
    images = prepared_image(rounded, given, case, Findings())
    ids = torch.from_numpy(required(expected, "output_ids", case)[0])
    steps = len(ids) - required(given, "input_ids", case).shape[1]
    produced = _read(rounded, images.to(rounded.device, torch.bfloat16), ids, steps)
    wanted = {name: value for name, value in expected.items() if name != "output_ids"}
    if "mask_logits" in wanted and wanted["mask_logits"].shape == produced["mask_logits"].shape:
        produced["mask_iou"] = _ious(produced["mask_logits"], wanted["mask_logits"])
        wanted["mask_iou"] = np.ones(len(wanted["mask_logits"]))
    findings.compare(case, _prefixed(produced), _prefixed(wanted))


@torch.inference_mode()
def _read(rounded: LisaModel, images: ImageInputs, ids: torch.Tensor, steps: int) -> Arrays:
    embeddings, spread_ids = rounded.embed(ids, rounded.encode_image_for_language(images)[0])
    states = rounded.language_model.model(inputs_embeds=embeddings, use_cache=False).last_hidden_state[0]
    masks = decode_states(rounded, images, states[positions_before_seg(rounded, spread_ids)])
    read: dict[str, Any] = {
        "step_logits": rounded.language_model.lm_head(states[-steps - 1 : -1]),
        "seg_hidden": masks.hidden_states,
        "seg_embeds": masks.embeddings,
        "sam_image_embedding": rounded.encode_image_for_masks(images).image_embeddings,
        "low_res_logits": masks.low_res_masks,
        "mask_logits": masks.mask_logits,
    }
    return {name: value.float().numpy() for name, value in read.items()}


def _prefixed(arrays: Arrays) -> Arrays:
    return {f"bf16_{name}": value for name, value in arrays.items()}


def _ious(mask_logits: NDArray[Any], expected: NDArray[Any]) -> NDArray[Any]:
    pairs = zip(mask_logits > 0, (expected > 0).astype(np.uint8), strict=True)
    return np.array([intersection_over_union(*intersection_and_union(*pair)) for pair in pairs])
