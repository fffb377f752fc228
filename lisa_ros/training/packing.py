"""Several requests about one image in one sequence: they share the image and do not see each other.

A frame's sequence is ``begin, image`` and then a segment for each request: its states, ``<answer>``, the answer. A
segment attends to the image and to itself, and its positions count from the end of the image, so every segment is
computed as if it stood alone after the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lisa_ros.model.processing import IGNORE_INDEX


@dataclass(slots=True)
class Segment:
    """One request in the language model: states ``[T, D]``, then the ids ``[A]``, which start with ``<answer>``."""

    request_states: Tensor
    answer_ids: Tensor


@dataclass(slots=True)
class PackedBatch:
    """Embeddings ``[B, L, D]``, position ids and labels ``[B, L]``, attention mask bool ``[B, 1, L, L]``.

    A label stands where the hidden state has to predict it; everything else is ``IGNORE_INDEX``.
    """

    inputs_embeds: Tensor
    position_ids: Tensor
    attention_mask: Tensor
    labels: Tensor


def pack(prefix_embeds: Tensor, segments: list[list[Segment]], embed_tokens: torch.nn.Module) -> PackedBatch:
    """Pack the segments of ``B`` frames after their prefixes ``[B, P, D]``."""
    prefix_length, width = prefix_embeds.shape[1:]
    length = prefix_length + max(sum(_length(segment) for segment in frame) for frame in segments)
    device = prefix_embeds.device
    position_ids = torch.zeros(len(segments), length, dtype=torch.long, device=device)
    owners = torch.full((len(segments), length), PADDING, device=device)
    labels = torch.full((len(segments), length), IGNORE_INDEX, device=device)
    owners[:, :prefix_length] = PREFIX
    position_ids[:, :prefix_length] = torch.arange(prefix_length, device=device)
    rows = []
    for index, frame in enumerate(segments):
        pieces, start = [prefix_embeds[index]], prefix_length
        for number, segment in enumerate(frame):
            end = start + _length(segment)
            pieces += [segment.request_states, embed_tokens(segment.answer_ids[:-1])]
            owners[index, start:end] = number
            position_ids[index, start:end] = prefix_length + torch.arange(end - start, device=device)
            labels[index, end - len(segment.answer_ids) + 1 : end] = segment.answer_ids[1:]
            start = end
        pieces.append(prefix_embeds.new_zeros(length - start, width))
        rows.append(torch.cat(pieces))
    return PackedBatch(torch.stack(rows), position_ids, _attention_mask(owners), labels)


PREFIX, PADDING = -1, -2


def _length(segment: Segment) -> int:
    """Positions that a segment takes: the last id of the answer is predicted, never read."""
    return len(segment.request_states) + len(segment.answer_ids) - 1


def _attention_mask(owners: Tensor) -> Tensor:
    length = owners.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=owners.device).tril()
    same_segment = owners[:, :, None] == owners[:, None, :]
    sees_prefix = owners[:, None, :] == PREFIX
    return ((same_segment | sees_prefix) & causal)[:, None]
