from __future__ import annotations

import pytest
import torch

from lisa_ros.training.dense_head import DenseHead
from lisa_ros.training.language import LanguageObjective, RequestBlur, blurred
from lisa_ros.training.losses import LossWeights
from lisa_ros.training.objectives import NO_BLUR, DenseObjective, JointObjective
from lisa_ros.training.tabletop import NUM_KINDS


@pytest.fixture
def head(tiny_model):
    torch.manual_seed(0)
    return DenseHead(tiny_model.config.vision, NUM_KINDS)


@pytest.fixture
def language(tiny_model, tiny_text, head):
    return LanguageObjective(tiny_model, tiny_text, head, LossWeights(), NO_BLUR)


@pytest.fixture
def samples(frames, make_dataset):
    dataset = make_dataset(frames, requests_per_frame=4, masks_per_frame=0)
    return [dataset[index] for index in range(2)]


def test_the_language_stage_goes_on_with_the_losses_of_the_joint_one(tiny_model, tiny_text, head, language, samples):
    weights = LossWeights()
    joint = JointObjective(tiny_model, tiny_text, DenseObjective(tiny_model, head, weights), weights)(samples)
    alone = language(samples)
    assert set(alone) == {"ce", "prompt"}
    assert all(alone[name].item() == pytest.approx(joint[name].item(), rel=1e-5) for name in alone)


def test_eyes_decoder_and_kinds_are_left_alone(tiny_model, head, language, samples):
    sum(language(samples).values()).backward()
    for module in (tiny_model.pyramid, tiny_model.mask_decoder, tiny_model.request_encoder.bert, head):
        assert all(value.grad is None for value in module.parameters())
    for module in (tiny_model.language_model, tiny_model.text_hidden_fcs, tiny_model.mm_projector):
        assert any(value.grad is not None and value.grad.any() for value in module.parameters())
    learned = {id(value) for value in language.parameters()}
    assert not learned & {id(value) for part in (tiny_model.pyramid, head) for value in part.parameters()}


def test_a_blur_moves_a_whole_request_in_one_direction_by_a_share_of_its_length():
    states = torch.randn(7, 24, generator=torch.Generator().manual_seed(1)) + 1.0
    shift = blurred(states, 0.5) - states
    assert torch.allclose(shift, shift[:1].expand(7, -1), atol=1e-6)
    assert float(shift[0].norm()) == pytest.approx(0.5 * float(states.mean(0).norm()), rel=1e-5)
    assert not torch.allclose(blurred(states, 0.5) - states, shift)
    assert blurred(states, 0.0).equal(states)


def test_a_request_can_be_its_sentence_without_its_tokens(tiny_model, tiny_text, head, samples):
    lengths = {}
    tiny_model.language_model.model.register_forward_pre_hook(
        lambda module, args, kwargs: lengths.update({chance: kwargs["inputs_embeds"].shape[1]}), with_kwargs=True
    )
    for chance in (0.0, 1.0):
        blur = RequestBlur(noise=0.0, sentence_only=chance)
        LanguageObjective(tiny_model, tiny_text, head, LossWeights(), blur)(samples[:1])
    tokens = sum(tiny_text.request_inputs(request.text).input_ids.shape[1] for request in samples[0].requests)
    assert lengths[0.0] - lengths[1.0] == tokens
