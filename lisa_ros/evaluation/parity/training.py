"""One training step of the reference: its losses, what they are made of, and their gradients."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lisa_ros.evaluation.parity.comparison import Arrays, Findings
from lisa_ros.evaluation.parity.recording import ParityError, prepared_image, required
from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.official import UnknownKeyError, translated_key
from lisa_ros.training.lisa_batch import LisaBatch, joined_images
from lisa_ros.training.lisa_objective import LisaObjective, ObjectiveWeights, Prediction

TRAINING = "train"
GRADIENT = "grad."
ROW_OF_SEG = ".row_seg"
NAMED_NORMS = ("grad_names", "grad_norms")
NOISE = 1e-4
"""Norms of gradients up to this are noise: that of an attention's key bias, for one, is rounding alone."""


def compare_training(model: LisaModel, given: Arrays, expected: Arrays, findings: Findings) -> None:
    """Take one step as far as the gradients; what learns is what the recording has gradients of.

    ``model`` is left in train mode and keeps its gradients.
    """
    batch = recorded_batch(model, given, findings)
    learning = _learning(model, expected)
    objective = LisaObjective(model, _weights(given)).train()
    prediction = objective.predict(batch)
    losses = objective.losses(prediction, batch)
    if learning:
        torch.stack(list(losses.values())).sum().backward()
    findings.compare(
        TRAINING, _of_losses(losses) | _of_prediction(prediction, batch), _of_batch(expected, len(batch.masks))
    )
    for index in range(len(batch.masks)):
        masks = prediction.low_res_masks[batch.image_of[prediction.conversation_of_seg] == index]
        of_image = {"low_res_logits": masks.detach().numpy()}
        findings.compare(f"{TRAINING}.{index}", of_image, _of_index(expected, index))
    _compare_norms(learning, expected, findings)
    for name in filter(_is_gradient, expected):
        row = model.config.tokens.seg if name.endswith(ROW_OF_SEG) else None
        of_weight = {"gradient": _gradient(learning[name], row)}
        findings.compare(f"{TRAINING}.{name}", of_weight, {"gradient": expected[name]})


def recorded_batch(model: LisaModel, given: Arrays, findings: Findings) -> LisaBatch:
    """Return the micro batch of a recording, its images prepared here."""
    ids, attention, labels, offset = (
        torch.from_numpy(required(given, name, TRAINING))
        for name in ("input_ids", "attention_mask", "labels", "offset")
    )
    counts = offset.diff()
    if offset[0] != 0 or offset[-1] != len(ids) or (counts < 0).any():
        raise ParityError(f"The recording of {TRAINING} has offset {offset.tolist()} for {len(ids)} conversations.")
    parts = {f"{TRAINING}.{index}": _of_index(given, index) for index in range(len(counts))}
    return LisaBatch(
        images=joined_images([prepared_image(model, part, case, findings) for case, part in parts.items()]),
        input_ids=ids,
        attention_mask=attention,
        labels=labels,
        image_of=torch.arange(len(counts)).repeat_interleave(counts),
        masks=[torch.from_numpy(required(part, "gt_masks", case)) for case, part in parts.items()],
    )


def _of_batch(arrays: Arrays, num_images: int) -> Arrays:
    """Return what is neither of one image nor a gradient."""
    others = tuple(f".{index}" for index in range(num_images))
    return {
        name: value
        for name, value in arrays.items()
        if name not in NAMED_NORMS and not _is_gradient(name) and not name.endswith(others)
    }


def _of_index(arrays: Arrays, index: int) -> Arrays:
    """Return the arrays of one image by their own names."""
    end = f".{index}"
    return {
        name.removesuffix(end): value for name, value in arrays.items() if name.endswith(end) and not _is_gradient(name)
    }


def _weights(given: Arrays) -> ObjectiveWeights:
    names = ("ce_loss_weight", "bce_loss_weight", "dice_loss_weight")
    return ObjectiveWeights(*(float(required(given, name, TRAINING)) for name in names))


def _learning(model: LisaModel, expected: Arrays) -> dict[str, nn.Parameter]:
    """Let learn what the recording has gradients of; returns it by the recording's names."""
    recorded = [str(name) for name in expected.get("grad_names", ())]
    recorded += filter(_is_gradient, expected)
    learning = {name: _parameter(model, name.removeprefix(GRADIENT).removesuffix(ROW_OF_SEG)) for name in recorded}
    model.requires_grad_(False)
    for parameter in learning.values():
        parameter.requires_grad_(True)
    return learning


def _is_gradient(name: str) -> bool:
    return name.startswith(GRADIENT)


def _parameter(model: LisaModel, name: str) -> nn.Parameter:
    """Return the parameter of a name of the reference, with or without its ``model.``, or of one of ours."""
    parameters = dict(model.named_parameters())
    names = [name]
    for official in (name, f"model.{name}"):
        with suppress(UnknownKeyError):
            names.append(translated_key(official))
    for candidate in names:
        if candidate in parameters:
            return parameters[candidate]
    raise ParityError(f"The recording of {TRAINING} has a gradient of {name!r}, which is no weight of its network.")


def _of_losses(losses: dict[str, Tensor]) -> Arrays:
    ce, bce, dice = (losses[name].detach() for name in ("ce", "bce", "dice"))
    named = {
        "loss": ce + bce + dice,
        "ce_loss": ce,
        "mask_bce_loss": bce,
        "mask_dice_loss": dice,
        "mask_loss": bce + dice,
    }
    return {name: value.numpy() for name, value in named.items()}


def _of_prediction(prediction: Prediction, batch: LisaBatch) -> Arrays:
    counts = prediction.conversation_of_seg.bincount(minlength=len(batch.input_ids))
    return {"seg_embeds": prediction.seg_embeddings.detach().numpy(), "seg_count_per_conversation": counts.numpy()}


def _compare_norms(learning: dict[str, nn.Parameter], expected: Arrays, findings: Findings) -> None:
    """Compare the norms of all gradients that are more than noise, in the recording or here."""
    if "grad_norms" not in expected:
        return
    names = [str(name) for name in required(expected, "grad_names", TRAINING)]
    produced = np.array([np.linalg.norm(_gradient(learning[name])) for name in names])
    recorded = expected["grad_norms"]
    if recorded.shape != produced.shape:
        raise ParityError(f"The recording of {TRAINING} has {recorded.size} grad_norms for {len(names)} grad_names.")
    counted = np.maximum(produced, recorded) > NOISE
    findings.compare(TRAINING, {"grad_norms": produced[counted]}, {"grad_norms": recorded[counted]})


def _gradient(parameter: nn.Parameter, row: int | None = None) -> NDArray[Any]:
    """Return the gradient of a parameter or of one of its rows; zeros where the losses do not depend on it."""
    gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    return (gradient if row is None else gradient[row]).double().numpy()
