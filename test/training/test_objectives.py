from __future__ import annotations

import pytest
import torch

from lisa_ros.model.vision import MaskFeatures
from lisa_ros.training.dense_head import DenseHead
from lisa_ros.training.losses import LossWeights
from lisa_ros.training.objectives import DenseObjective, JointObjective
from lisa_ros.training.tabletop import NUM_KINDS

WEIGHTS = LossWeights()


@pytest.fixture
def dense(tiny_model):
    torch.manual_seed(0)
    return DenseObjective(tiny_model, DenseHead(tiny_model.config.vision, NUM_KINDS), WEIGHTS)


@pytest.fixture
def joint(tiny_model, tiny_text, dense):
    return JointObjective(tiny_model, tiny_text, dense, WEIGHTS)


@pytest.fixture
def samples(frames, make_dataset):
    dataset = make_dataset(frames, requests_per_frame=8, masks_per_frame=2)
    return [dataset[index] for index in range(3)]


def total(losses):
    return sum(losses.values())


def reached(module):
    return {name for name, value in module.named_parameters() if value.grad is not None and value.grad.any()}


def shifted_by_brightness(module, inputs, outputs):
    """Make the features of two frames differ more than untrained ones do."""
    tokens, features = outputs
    brightness = inputs[0].mean(dim=(1, 2, 3))[:, None, None, None]
    return tokens, MaskFeatures(features.image_embeddings + 5 * brightness, features.high_resolution)


def masks_in(sample):
    return sum(request.mask is not None for request in sample.requests)


def test_every_loss_has_a_name_and_a_finite_value(dense, joint, samples):
    eyes, all_of_it = dense(samples), joint(samples)
    assert set(eyes) == {"dense", "presence", "bce", "dice", "iou"}
    assert set(all_of_it) == set(eyes) | {"ce", "prompt"}
    assert all(value.ndim == 0 and torch.isfinite(value) and value >= 0 for value in (eyes | all_of_it).values())


def test_weights_multiply_their_losses(tiny_model, tiny_text, dense, joint, samples):
    doubled = LossWeights(ce=2, bce=4, dice=2, iou=0.4, dense=2, presence=0.2, prompt=2)
    twice = JointObjective(tiny_model, tiny_text, DenseObjective(tiny_model, dense.head, doubled), doubled)(samples)
    for name, value in joint(samples).items():
        assert twice[name].item() == pytest.approx(2 * value.item(), rel=1e-5)


def test_the_joint_loss_teaches_every_part_but_the_frozen_bert(joint, samples):
    total(joint(samples)).backward()
    names = reached(joint.model)
    for part in (
        "pyramid.trunk.stem",
        "mm_projector",
        "language_model.model.embed_tokens",
        "language_model.model.layers.0",
        "text_hidden_fcs",
        "mask_decoder",
        "request_encoder.sentence_projection",
        "request_encoder.token_projection",
    ):
        assert any(name.startswith(part) for name in names), part
    assert all(name.startswith(("fine", "coarse", "presence")) for name in reached(joint.dense.head))
    assert not any(value.requires_grad for value in joint.model.request_encoder.bert.parameters())
    assert not any(value.grad is not None for value in joint.model.request_encoder.bert.parameters())


def test_the_mask_reaches_the_language_model_through_seg(joint, samples):
    losses = joint(samples)
    (losses["bce"] + losses["dice"]).backward()
    names = reached(joint.model)
    assert {name for name in names if name.startswith("text_hidden_fcs")}
    assert {name for name in names if name.startswith("language_model.model.layers.0")}


def test_prompts_move_to_the_kinds_and_not_the_kinds_to_the_prompts(joint, samples):
    joint(samples)["prompt"].backward()
    assert joint.dense.head.kind_embeddings.weight.grad is None
    assert any(name.startswith("text_hidden_fcs") for name in reached(joint.model))


def test_the_prompt_loss_compares_every_seg_with_the_kind_it_stands_for(joint, samples, monkeypatch):
    segs = [r for sample in samples for r in sample.requests if "[SEG]" in r.answer]
    embeddings = joint.dense.head.kind_embeddings.weight.detach()
    wanted = embeddings[[r.kind for r in segs]]
    monkeypatch.setattr(joint.language, "prompts", lambda read: wanted)
    assert joint(samples)["prompt"].item() == 0.0
    monkeypatch.setattr(joint.language, "prompts", lambda read: wanted.flip(0))
    assert joint(samples)["prompt"].item() > 0.1


def test_a_batch_costs_what_its_frames_cost_alone(dense, joint, samples):
    """So every mask is decoded from its own prompt on its own frame."""
    dense.pyramid.register_forward_hook(shifted_by_brightness)
    counts = [masks_in(sample) for sample in samples]
    assert all(counts) and any("[SEG]" in r.answer and r.mask is None for r in samples[0].requests)
    for objective in (dense, joint):
        together, alone = objective(samples), [objective([sample]) for sample in samples]
        for name in ("bce", "dice"):
            values = [losses[name].item() for losses in alone]
            expected = sum(count * value for count, value in zip(counts, values, strict=True)) / sum(counts)
            assert len({round(value, 4) for value in values}) == 3
            assert together[name].item() == pytest.approx(expected, rel=2e-5)


def test_steps_on_one_frame_teach_the_decoder_to_follow_its_prompt(tiny_model, frames, make_dataset):
    torch.manual_seed(0)
    sample = make_dataset(frames, requests_per_frame=8, masks_per_frame=4)[0]
    masks_only = LossWeights(dense=0.0, presence=0.0, iou=0.0)
    objective = DenseObjective(tiny_model, DenseHead(tiny_model.config.vision, NUM_KINDS), masks_only)
    learned = [value for value in objective.parameters() if value.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=1e-2)
    first = total(objective([sample])).item()
    for _ in range(40):
        optimiser.zero_grad()
        total(objective([sample])).backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
    last = total(objective([sample])).item()
    kinds = {request.kind for request in sample.requests if request.mask is not None}
    for request in sample.requests:
        request.kind = next(kind for kind in sorted(kinds) if kind != request.kind)
    assert last < 0.6 * first
    assert total(objective([sample])).item() > 1.5 * last


def test_frames_about_which_nothing_present_is_asked_cost_no_masks(dense, joint, samples):
    for sample in samples:
        sample.requests = [r for r in sample.requests if "[REJ]" in r.answer] or sample.requests[:1]
        for request in sample.requests:
            request.answer, request.mask = "I do not see that here [REJ].", None
    assert set(dense(samples)) == {"dense", "presence"}
    losses = joint(samples)
    assert set(losses) == {"dense", "presence", "ce", "prompt"} and losses["prompt"].item() == 0.0
    total(losses).backward()


def test_a_request_costs_the_same_when_its_frozen_states_were_kept(joint, samples):
    first, second = (joint(samples) for _ in range(2))
    assert all(first[name].equal(second[name]) for name in first)
