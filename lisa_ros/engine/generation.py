"""The reference's two ways through the network: free generation, and the forced forward of its validation.

Semantics of ``LISAForCausalLM.evaluate`` and of its forward with ``inference=True`` (dvlab-research/LISA), with a KV
cache. ``LisaSegmenter`` answers users; this gives every tensor on the way to those who compare or score.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from lisa_ros.engine.decoding import extend, greedy_steps
from lisa_ros.model.modeling import ImageInputs, LisaModel


@dataclass(frozen=True, slots=True)
class SegMasks:
    """What ``n`` hidden states that predict ``[SEG]`` came to on one image.

    ``hidden_states`` ``[n, D]``, ``embeddings`` ``[n, C]``, ``low_res_masks`` ``[n, 1, h, w]``, ``iou_predictions``
    ``[n, 1]``; ``mask_logits`` are fp32 ``[n, H, W]`` at the size of the image, mask where > 0.
    """

    hidden_states: Tensor
    embeddings: Tensor
    low_res_masks: Tensor
    iou_predictions: Tensor
    mask_logits: Tensor


@dataclass(frozen=True, slots=True)
class Generation:
    """One answer: ``output_ids`` ``[L]`` hold the prompt with its placeholder, then the new ids.

    ``hidden_states`` ``[E - 1, D]`` are those of all but the last of the ``E`` positions of the expanded sequence, in
    which the visual tokens have taken the placeholder's place. ``seg_positions`` ``[n]`` are the positions there whose
    states predict a ``[SEG]``, in the prompt or in the answer. ``step_logits`` are ``[steps, vocab_size]``.
    """

    output_ids: Tensor
    hidden_states: Tensor
    seg_positions: Tensor
    step_logits: Tensor
    masks: SegMasks


@torch.inference_mode()
def generate(model: LisaModel, images: ImageInputs, input_ids: Tensor, max_new_tokens: int) -> Generation:
    """Answer the prompt ``input_ids`` ``[L]`` about one image greedily; a ``[SEG]`` in the prompt gives a mask too."""
    embeddings, prompt_ids = model.embed(input_ids, model.encode_image_for_language(images)[0])
    cache = DynamicCache(config=model.language_model.config)
    prompt_states = extend(model, embeddings, cache)
    steps = list(greedy_steps(model, prompt_states[-1], cache, max_new_tokens))
    new_ids = input_ids.new_tensor([step.token for step in steps])
    hidden_states = torch.cat([prompt_states, *(step.hidden_state[None] for step in steps[1:])])
    seg_positions = positions_before_seg(model, torch.cat([prompt_ids, new_ids]))
    return Generation(
        output_ids=torch.cat([input_ids, new_ids]),
        hidden_states=hidden_states,
        seg_positions=seg_positions,
        step_logits=torch.stack([step.logits for step in steps]),
        masks=decode_states(model, images, hidden_states[seg_positions]),
    )


@torch.inference_mode()
def forced_forward(model: LisaModel, images: ImageInputs, input_ids: Tensor, attention_mask: Tensor) -> SegMasks:
    """Read ``B`` whole conversations about one image and decode the mask of every ``[SEG]`` in them, in their order.

    ``input_ids`` is ``[B, L]``, padded on the right where ``attention_mask`` ``[B, L]`` is false.
    """
    image_tokens = model.encode_image_for_language(images)[0]
    rows = [model.embed(ids[mask.bool()], image_tokens) for ids, mask in zip(input_ids, attention_mask, strict=True)]
    lengths = [len(expanded_ids) for _, expanded_ids in rows]
    embeddings = torch.nn.utils.rnn.pad_sequence([row[0] for row, _ in rows], batch_first=True)
    positions = torch.arange(max(lengths), device=embeddings.device)
    attended = positions < torch.tensor(lengths, device=embeddings.device)[:, None]
    states = model.language_model.model(inputs_embeds=embeddings, attention_mask=attended.long(), use_cache=False)
    before_seg = [
        states.last_hidden_state[index, positions_before_seg(model, expanded_ids)]
        for index, (_, expanded_ids) in enumerate(rows)
    ]
    return decode_states(model, images, torch.cat(before_seg))


def positions_before_seg(model: LisaModel, expanded_ids: Tensor) -> Tensor:
    """Return the positions ``[n]`` whose states predict a ``[SEG]``: each the one before it."""
    return torch.nonzero(expanded_ids[1:] == model.config.tokens.seg).flatten()


@torch.inference_mode()
def decode_states(model: LisaModel, images: ImageInputs, hidden_states: Tensor) -> SegMasks:
    """Decode the masks of ``[n, D]`` hidden states on one image."""
    embeddings = model.project_seg(hidden_states)
    low_res_masks, iou_predictions = model.decode_masks(model.encode_image_for_masks(images), embeddings)
    mask_logits = model.postprocess_masks(low_res_masks, images.resized_sizes[0], images.original_sizes[0])
    return SegMasks(hidden_states, embeddings, low_res_masks, iou_predictions, mask_logits)
