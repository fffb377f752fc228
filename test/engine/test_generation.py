"""That these are the reference's numbers is asserted with its recording, in test/evaluation/test_parity.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lisa_ros.engine.generation import forced_forward, generate
from lisa_ros.model.image_processing import ImageProcessor
from lisa_ros.model.modeling import IMAGE_TOKEN

SEG = 303


@pytest.fixture(scope="module")
def images(golden_model):
    rgb = np.random.default_rng(4).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    return ImageProcessor(golden_model.config)(rgb)


def test_a_forced_answer_gives_the_masks_of_the_generated_one(golden_model, images):
    prompt = torch.tensor([1, 9, IMAGE_TOKEN, 12, SEG, 40])
    answer = generate(golden_model, images, prompt, 4)
    length = len(answer.output_ids)
    assert length == 6 + len(answer.step_logits) > 6 and answer.hidden_states.shape == (length - 1 + 255, 96)
    assert answer.output_ids[:6].equal(prompt)
    forced = forced_forward(golden_model, images, answer.output_ids[None], torch.ones(1, length))
    assert len(forced.embeddings) == int((answer.output_ids == SEG).sum()) >= 1
    assert torch.allclose(forced.embeddings, answer.masks.embeddings, atol=1e-5)
    assert torch.allclose(forced.mask_logits, answer.masks.mask_logits, atol=1e-4)


def test_the_position_of_a_mask_is_the_one_before_its_token(golden_model, images):
    answer = generate(golden_model, images, torch.tensor([1, SEG, IMAGE_TOKEN, 12, SEG]), 1)
    assert answer.seg_positions[:2].tolist() == [0, 2 + 256]
    assert answer.masks.hidden_states[:2].equal(answer.hidden_states[[0, 258]])


def test_padding_does_not_change_a_conversation_and_masks_come_in_their_order(golden_model, images):
    rows = [[1, IMAGE_TOKEN, 5, SEG, 8, SEG, 2], [1, IMAGE_TOKEN, 5, 2], [1, 7, IMAGE_TOKEN, SEG, 2]]
    ids = torch.zeros(3, 7, dtype=torch.long)
    mask = torch.zeros(3, 7, dtype=torch.bool)
    for index, row in enumerate(rows):
        ids[index, : len(row)], mask[index, : len(row)] = torch.tensor(row), True
    ids[2, 6] = SEG
    together = forced_forward(golden_model, images, ids, mask)
    alone = [forced_forward(golden_model, images, torch.tensor([row]), torch.ones(1, len(row))) for row in rows]
    assert [len(masks.embeddings) for masks in alone] == [2, 0, 1]
    assert torch.allclose(together.embeddings, torch.cat([masks.embeddings for masks in alone]), atol=1e-5)
    assert together.mask_logits.shape == (3, 60, 90) and alone[1].mask_logits.shape == (0, 60, 90)
