"""The command ``lisa parity``: the network beside a recording of the reference's own code on the same weights.

A recording is a folder with ``config.json``, ``weights.safetensors``, ``inputs.npz`` and ``outputs.npz``, and, where
the reference's validation was recorded too, ``val_inputs.npz`` and ``val_outputs.npz``.
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lisa_ros.engine.generation import SegMasks, forced_forward, generate
from lisa_ros.evaluation.metrics import IGNORE, intersection_and_union, intersection_over_union
from lisa_ros.model.checkpoints import CheckpointError, require_matching
from lisa_ros.model.configuration import CONFIG_FILE, ConfigurationError
from lisa_ros.model.image_processing import ImageProcessor
from lisa_ros.model.modeling import ImageInputs, LisaModel
from lisa_ros.model.official import UnknownKeyError, reference_config, translated_weights
from lisa_ros.model.vision import clip_patch_features

WEIGHTS_FILE = "weights.safetensors"
VALIDATION = "val"
EXACT, PIXELS, HIDDEN, SCORE, LOGITS = 0.0, 1e-6, 5e-5, 1e-5, 2e-4
TOLERANCES = {
    "resize_hw": EXACT,
    "original_hw": EXACT,
    "clip_pixel_values": PIXELS,
    "sam_input": PIXELS,
    "clip_features": HIDDEN,
    "image_tokens": HIDDEN,
    "last_hidden": HIDDEN,
    "step_logits": LOGITS,
    "output_ids": EXACT,
    "seg_positions": EXACT,
    "seg_hidden": HIDDEN,
    "seg_embeds": HIDDEN,
    "sam_image_embedding": HIDDEN,
    "low_res_logits": LOGITS,
    "iou_predictions": HIDDEN,
    "mask_logits": LOGITS,
    "mask_bits": EXACT,
    "intersection": EXACT,
    "union": EXACT,
    "acc_iou": SCORE,
}
"""The largest difference allowed in fp32; where it is exact, the difference is the number of unlike elements."""
INPUT_QUANTITIES = ("resize_hw", "original_hw", "clip_pixel_values", "sam_input")

Arrays = dict[str, NDArray[Any]]


class ParityError(RuntimeError):
    """A folder is not a recording of the reference; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One quantity of one case, how far it is from the reference's (see ``difference``), and what is allowed."""

    case: str
    quantity: str
    difference: float

    @property
    def tolerance(self) -> float:
        """The largest difference allowed."""
        return TOLERANCES[self.quantity]

    @property
    def passed(self) -> bool:
        """Whether the difference is allowed."""
        return self.difference <= self.tolerance


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lisa parity``."""
    parser.add_argument("folder", type=Path, help="recording of the reference: configuration, weights, inputs, outputs")


def run(arguments: argparse.Namespace) -> int:
    """Compare and print; the exit code is 1 beyond a tolerance, 2 when there is nothing to compare with."""
    try:
        comparisons, not_checked = compare_with_recording(arguments.folder)
    except (ParityError, CheckpointError, ConfigurationError) as error:
        print(f"lisa parity: {error}", file=sys.stderr)
        return 2
    _print_table(comparisons, not_checked)
    print(json.dumps({"folder": str(arguments.folder)} | summary(comparisons, not_checked)))
    return 0 if all(comparison.passed for comparison in comparisons) else 1


def compare_with_recording(folder: Path) -> tuple[list[Comparison], list[str]]:
    """Run everything that a folder recorded; returns the comparisons and the names of what was not compared.

    Raises ``ParityError``, ``CheckpointError`` or ``ConfigurationError`` with one sentence.
    """
    model = recorded_model(folder)
    inputs, outputs = _arrays(folder / "inputs.npz"), _arrays(folder / "outputs.npz")
    comparisons: list[Comparison] = []
    not_checked = _unknown_files(folder)
    for case in dict.fromkeys(name.split(".")[0] for name in inputs):
        given, expected = _of_case(inputs, case), _of_case(outputs, case)
        images, found = _images(model, given, case)
        produced = _generated(model, images, given, case)
        comparisons += found + _compared(case, produced, expected)
        not_checked += [f"{case}.{name}" for name in expected if name not in produced]
    if (folder / "val_inputs.npz").is_file():
        given, expected = _arrays(folder / "val_inputs.npz"), _arrays(folder / "val_outputs.npz")
        images, found = _images(model, given, VALIDATION)
        produced = _validated(model, images, given)
        expected = _renamed_logits(expected)
        comparisons += found + _compared(VALIDATION, produced, expected)
        not_checked += [f"{VALIDATION}.{name}" for name in expected if name not in produced]
    return comparisons, not_checked


def recorded_model(folder: Path) -> LisaModel:
    """Return the network of a recording in fp32; raises as ``compare_with_recording`` does."""
    try:
        config = reference_config(json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")))
        stored = load_file(folder / WEIGHTS_FILE)
        weights = translated_weights({key: _in_fp32(value) for key, value in stored.items()}, config)
    except (OSError, ValueError, SafetensorError, UnknownKeyError) as error:
        raise ParityError(f"{folder} is not a recording of the reference: {error}.") from error
    model = LisaModel(config)
    require_matching(model, weights, folder)
    model.load_state_dict(weights)
    return model.eval()


def _in_fp32(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _arrays(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ParityError(f"{path} cannot be read as arrays: {error}.") from error


def _of_case(arrays: Arrays, case: str) -> Arrays:
    start = f"{case}."
    return {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}


def _required(arrays: Arrays, name: str, case: str) -> NDArray[Any]:
    if name not in arrays:
        raise ParityError(f"The recording of {case} has no {name}.")
    return arrays[name]


def _images(model: LisaModel, given: Arrays, case: str) -> tuple[ImageInputs, list[Comparison]]:
    """Prepare the raw image and compare that with the prepared one of the recording, where it has one."""
    images = ImageProcessor(model.config)(_required(given, "image", case))
    produced = {
        "clip_pixel_values": images.pixel_values.numpy(),
        "sam_input": images.mask_pixel_values.numpy(),
        "resize_hw": np.array(images.resized_sizes[0]),
        "original_hw": np.array(images.original_sizes[0]),
    }
    return images, _compared(case, produced, {name: given[name] for name in INPUT_QUANTITIES if name in given})


def _generated(model: LisaModel, images: ImageInputs, given: Arrays, case: str) -> Arrays:
    input_ids = torch.from_numpy(_required(given, "input_ids", case)[0])
    answer = generate(model, images, input_ids, int(_required(given, "max_new_tokens", case)))
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
    return {name: value.numpy() for name, value in (seen | said).items()} | _of_masks(answer.masks)


def _of_masks(masks: SegMasks) -> Arrays:
    return {
        "seg_embeds": masks.embeddings.numpy(),
        "low_res_logits": masks.low_res_masks.numpy(),
        "iou_predictions": masks.iou_predictions.numpy(),
        "mask_logits": masks.mask_logits.numpy(),
        "mask_bits": np.packbits(masks.mask_logits.numpy() > 0, axis=-1),
    }


def _validated(model: LisaModel, images: ImageInputs, given: Arrays) -> Arrays:
    """Run the forced forward and score its masks per class, background first, as the reference's validation does."""
    ids, attention = (torch.from_numpy(_required(given, name, VALIDATION)) for name in ("input_ids", "attention_mask"))
    masks = forced_forward(model, images, ids, attention)
    truths = _required(given, "gt_masks", VALIDATION)
    found = masks.mask_logits.numpy() > 0
    if found.shape != truths.shape:
        return _of_masks(masks)
    counts = np.array([_class_counts(mask, truth) for mask, truth in zip(found, truths, strict=True)])
    scores = [[intersection_over_union(*pair) for pair in classes] for classes in counts.tolist()]
    totals = counts.sum(axis=0)
    scored = {"intersection": totals[:, 0], "union": totals[:, 1], "acc_iou": np.mean(scores, axis=0)}
    return scored | _of_masks(masks)


def _class_counts(mask: NDArray[np.bool_], truth: NDArray[np.uint8]) -> list[tuple[int, int]]:
    background = np.where(truth == IGNORE, IGNORE, truth == 0).astype(np.uint8)
    return [intersection_and_union(~mask, background), intersection_and_union(mask, truth)]


def _renamed_logits(expected: Arrays) -> Arrays:
    return {"mask_logits" if name == "pred_mask_logits" else name: value for name, value in expected.items()}


def _compared(case: str, produced: Arrays, expected: Arrays) -> list[Comparison]:
    if "mask_logits" in expected:
        expected = {"mask_bits": np.packbits(expected["mask_logits"] > 0, axis=-1)} | expected
    return [
        Comparison(case, name, difference(produced[name], expected[name], exact=tolerance == EXACT))
        for name, tolerance in TOLERANCES.items()
        if name in produced and name in expected
    ]


def difference(produced: NDArray[Any], expected: NDArray[Any], *, exact: bool) -> float:
    """Return the largest absolute difference, or the number of unlike elements; infinite for another shape or NaN."""
    if produced.shape != expected.shape:
        return float("inf")
    if produced.size == 0:
        return 0.0
    if exact:
        return float(np.count_nonzero(produced != expected))
    largest = float(np.abs(produced.astype(np.float64) - expected.astype(np.float64)).max())
    return largest if np.isfinite(largest) else float("inf")


def _unknown_files(folder: Path) -> list[str]:
    """Name the recordings of a folder that this command does not compare, such as those of training steps."""
    known = {f"{prefix}{side}.npz" for prefix in ("", "val_") for side in ("inputs", "outputs")}
    return sorted(path.name for path in folder.glob("*.npz") if path.name not in known)


def summary(comparisons: list[Comparison], not_checked: list[str]) -> dict[str, Any]:
    """Return the largest difference of every quantity (``None`` if infinite) and what lies beyond its tolerance."""
    largest: dict[str, float | None] = {}
    for quantity in TOLERANCES:
        found = [comparison.difference for comparison in comparisons if comparison.quantity == quantity]
        if found:
            largest[quantity] = max(found) if np.isfinite(max(found)) else None
    beyond = [f"{comparison.case}.{comparison.quantity}" for comparison in comparisons if not comparison.passed]
    cases = list(dict.fromkeys(comparison.case for comparison in comparisons))
    return {"cases": cases, "largest": largest, "beyond": beyond, "not_checked": not_checked, "passed": not beyond}


def _print_table(comparisons: list[Comparison], not_checked: list[str]) -> None:
    for comparison in comparisons:
        verdict = "ok" if comparison.passed else "BEYOND"
        values = f"{comparison.difference:10.3g}  allowed {comparison.tolerance:7.1g}"
        print(f"{comparison.case:20s} {comparison.quantity:20s} {values}  {verdict}")
    for name in not_checked:
        print(f"{name}: not checked")
