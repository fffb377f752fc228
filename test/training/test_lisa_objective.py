"""That the objective is the reference's is tested in test/evaluation; here, that it works for any batch and network."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lisa_ros.answers import Turn
from lisa_ros.evaluation.parity.comparison import Findings
from lisa_ros.evaluation.parity.recording import read_arrays, recorded_model
from lisa_ros.evaluation.parity.training import recorded_batch
from lisa_ros.model.configuration import ConfigurationError
from lisa_ros.model.processing import IGNORE_INDEX, LisaProcessor
from lisa_ros.training.lisa_batch import Collator
from lisa_ros.training.lisa_objective import LisaObjective, ObjectiveWeights
from lisa_ros.training.samples import TrainingSample
from lisa_ros.training.trainable import LoraSettings, TrainableConfig, learning_parameters, make_trainable

RECORDING = Path(__file__).parents[1] / "data" / "golden_tiny_d"
NO_LORA = TrainableConfig(lora=LoraSettings(r=0))
OF_THE_EMBEDDED = TrainableConfig(
    parts=(
        "embed_tokens",
        "layers",
        "mm_projector",
        "text_hidden_fcs",
        "mask_decoder",
        "pyramid",
        "request_projection",
    ),
    lora=LoraSettings(r=0),
)


@pytest.fixture(scope="module")
def recorded():
    """The recorded network and batch: 3 images with 3, 1 and 1 conversations and 3, 0 and 2 masks."""
    model = recorded_model(RECORDING)
    return model, recorded_batch(model, read_arrays(RECORDING / "train_inputs.npz"), Findings())


@pytest.fixture
def official(recorded):
    """The recorded network with what the paper trains, but for LoRA, and the recorded batch."""
    model = copy.deepcopy(recorded[0])
    make_trainable(model, NO_LORA)
    return model, recorded[1]


@pytest.fixture
def embedded(tiny_model, tiny_text):
    """A small embedded network, all of which learns, and a batch of the same form."""
    make_trainable(tiny_model, OF_THE_EMBEDDED)
    return tiny_model, Collator(LisaProcessor(tiny_text.config, tiny_text))(samples())


def samples():
    rng = np.random.default_rng(0)
    answers = (
        [("cut the bread", "It is the knife [SEG]."), ("what?", "A knife is used for cutting."), ("banana", "[SEG].")],
        [("where is the hammer with a long question ?", "I see no hammer here [REJ].")],
        [("knife", "You can cut with the knife [SEG], it is sharp.")],
    )
    sizes, counts = [(40, 60), (64, 64), (90, 50)], (2, 0, 1)
    return [
        TrainingSample(
            rng.integers(0, 255, (*size, 3), np.uint8),
            tuple((Turn(*pair),) for pair in pairs),
            rng.random((count, *size)) < 0.3,
            "test",
        )
        for pairs, size, count in zip(answers, sizes, counts, strict=True)
    ]


@pytest.fixture(params=["official", "embedded"])
def network_and_batch(request):
    return request.getfixturevalue(request.param)


def gradients(objective, losses):
    objective.zero_grad()
    sum(losses.values()).backward()
    return {name: value.grad.clone() for name, value in learning_parameters(objective).items()}


def figures(losses):
    return {name: value.item() for name, value in losses.items()}


def alone(model, batch, index):
    """The batch of one conversation with its image and masks, without padding."""
    image, attended = int(batch.image_of[index]), batch.attention_mask[index].bool()
    counts = (batch.input_ids == model.config.tokens.seg).sum(1)
    start = int(counts[:index][batch.image_of[:index] == image].sum())
    pixels, request = batch.images, batch.request
    images = replace(
        pixels,
        pixel_values=pixels.pixel_values[image : image + 1],
        mask_pixel_values=pixels.mask_pixel_values[image : image + 1],
        resized_sizes=[pixels.resized_sizes[image]],
        original_sizes=[pixels.original_sizes[image]],
    )
    if request is not None:
        read = request.attention_mask[index].bool()
        ids, mask = request.input_ids[index, read][None], request.attention_mask[index, read][None]
        request = replace(request, input_ids=ids, attention_mask=mask)
    return replace(
        batch,
        images=images,
        input_ids=batch.input_ids[index : index + 1, attended],
        attention_mask=batch.attention_mask[index : index + 1, attended],
        labels=batch.labels[index : index + 1, attended],
        image_of=torch.zeros(1, dtype=torch.long),
        masks=[batch.masks[image][start : start + int(counts[index])]],
        request=request,
    )


def test_a_batch_is_the_mean_of_its_conversations_over_tokens_and_over_masks(network_and_batch):
    model, batch = network_and_batch
    objective = LisaObjective(model).train()
    parts = [alone(model, batch, index) for index in range(len(batch.input_ids))]
    losses, apart = objective(batch), [figures(objective(part)) for part in parts]
    together = figures(losses)
    for name, sizes in (
        ("ce", [part.num_label_tokens for part in parts]),
        ("bce", [part.num_masks for part in parts]),
        ("dice", [part.num_masks for part in parts]),
    ):
        mean = sum(part[name] * size for part, size in zip(apart, sizes, strict=True)) / sum(sizes)
        assert together[name] == pytest.approx(mean, rel=1e-5) and mean > 0, name
        assert losses[name].dtype == torch.float32


def test_the_order_of_conversations_of_different_images_does_not_matter(official):
    model, batch = official
    order = [3, 0, 4, 1, 2]
    shuffled = replace(
        batch,
        input_ids=batch.input_ids[order],
        attention_mask=batch.attention_mask[order],
        labels=batch.labels[order],
        image_of=batch.image_of[order],
    )
    objective = LisaObjective(model).train()
    assert figures(objective(shuffled)) == pytest.approx(figures(objective(batch)), rel=1e-5)


def test_weights_scale_their_loss_alone(embedded):
    model, batch = embedded
    plain = figures(LisaObjective(model, ObjectiveWeights(1.0, 1.0, 1.0))(batch))
    weighted = figures(LisaObjective(model, ObjectiveWeights(3.0, 2.0, 0.0))(batch))
    assert weighted == pytest.approx({"ce": 3 * plain["ce"], "bce": 2 * plain["bce"], "dice": 0.0})
    assert ObjectiveWeights() == ObjectiveWeights(ce=1.0, bce=2.0, dice=0.5)
    with pytest.raises(ConfigurationError, match=r"The weight of dice is -0\.5; it must be 0 or more"):
        ObjectiveWeights(dice=-0.5)


def test_every_weight_that_learns_gets_a_gradient_from_every_batch(network_and_batch):
    model, batch = network_and_batch
    objective = LisaObjective(model).train()
    without_seg = alone(model, batch, 3)
    assert batch.num_masks and without_seg.num_masks == 0
    for one in (batch, without_seg):
        losses = objective(one)
        found = gradients(objective, losses)
        assert all(torch.isfinite(value).all() for value in (*found.values(), *losses.values()))
        decoder = [value for name, value in found.items() if "mask_decoder" in name or "text_hidden" in name]
        assert any(value.any() for value in decoder) == (one is batch)
    assert losses["bce"] == losses["dice"] == 0 and losses["ce"] > 0


def test_a_batch_without_labels_costs_nothing(embedded):
    model, batch = embedded
    without = replace(alone(model, batch, 3), labels=torch.full_like(alone(model, batch, 3).labels, IGNORE_INDEX))
    objective = LisaObjective(model)
    losses = objective(without)
    assert sum(losses.values()) == 0 and all(not value.any() for value in gradients(objective, losses).values())


def test_the_image_encoder_looks_once_at_the_images_that_have_masks_and_keeps_nothing(official):
    model, batch = official
    seen = []
    model.image_encoder.register_forward_hook(lambda module, inputs, output: seen.append((inputs[0], output)))
    LisaObjective(model).train()(batch)
    ((pixels, features),) = seen
    assert torch.equal(pixels, batch.images.mask_pixel_values[[0, 2]]) and features.grad_fn is None


def test_frozen_parts_do_not_move_and_learning_ones_do(official):
    model, batch = official
    before = {name: value.clone() for name, value in model.state_dict().items()}
    objective = LisaObjective(model).train()
    optimiser = torch.optim.AdamW(learning_parameters(objective).values(), lr=1e-4)
    losses = [objective(batch)]
    for _ in range(3):
        gradients(objective, losses[-1])
        optimiser.step()
        losses.append(objective(batch))
    moved = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"language_model", "text_hidden_fcs", "mask_decoder"}
    assert sum(losses[-1].values()) < sum(losses[0].values())


def test_a_batch_used_again_is_seen_with_the_eyes_as_they_are_now(embedded):
    model, batch = embedded
    objective = LisaObjective(model)
    first = objective(batch)["bce"]
    with torch.no_grad():
        model.pyramid.norm_16.weight.mul_(2.0)
    assert objective(batch)["bce"] != first and batch.images.pyramid_features is None


def test_gradient_checkpointing_changes_nothing(official):
    model, batch = official
    calls = []
    model.language_model.model.layers[0].input_layernorm.register_forward_hook(lambda *_: calls.append(1))
    plain = LisaObjective(model).train()
    expected = gradients(plain, plain(batch))
    assert len(calls) == 1
    saving = LisaObjective(model, gradient_checkpointing=True).train()
    losses = saving(batch)
    found = gradients(saving, losses)
    assert len(calls) == 3, "a block is run again in the backward pass"
    assert all(torch.allclose(found[name], expected[name], rtol=1e-5, atol=1e-8) for name in expected)


def test_frozen_bf16_weights_compute_in_bf16_and_give_nearly_the_same(recorded):
    model, batch = copy.deepcopy(recorded[0]), recorded[1]
    expected = figures(LisaObjective(model)(batch))
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16()
    make_trainable(model, TrainableConfig(lora=LoraSettings(dropout=0.0)))
    objective = LisaObjective(model, gradient_checkpointing=True).train()
    losses = objective(batch.to("cpu", torch.bfloat16))
    assert figures(losses) == pytest.approx(expected, rel=0.03)
    assert {value.dtype for value in losses.values()} == {torch.float32}
    found = gradients(objective, losses)
    assert all(value.dtype == torch.float32 and torch.isfinite(value).all() for value in found.values())


def test_autocast_from_outside_gives_nearly_the_same(network_and_batch):
    model, batch = network_and_batch
    objective = LisaObjective(model)
    expected = figures(objective(batch))
    with torch.autocast("cpu", torch.bfloat16):
        losses = objective(batch)
    assert figures(losses) == pytest.approx(expected, rel=0.03) and figures(losses) != expected
    assert {value.dtype for value in losses.values()} == {torch.float32}


def test_masks_that_are_not_as_many_as_the_seg_are_an_error(official):
    model, batch = official
    fewer = replace(batch, masks=[batch.masks[0][:2], *batch.masks[1:]])
    with pytest.raises(ValueError, match=r"Image 0 of the batch has masks \[2, 200, 300\]; its \[SEG\] give \[3, "):
        LisaObjective(model)(fewer)
