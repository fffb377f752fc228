from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lisa_ros.answers import Turn
from lisa_ros.model.configuration import TokenConfig
from lisa_ros.model.llama_text import LlamaTextProcessor
from lisa_ros.model.modeling import IMAGE_TOKEN, REQUEST_TOKEN
from lisa_ros.model.official import reference_config
from lisa_ros.model.processing import IGNORE_INDEX, LisaProcessor
from lisa_ros.training.lisa_batch import Collator
from lisa_ros.training.samples import TrainingSample

TOKENIZER = Path(__file__).parents[1] / "data" / "tokenizers" / "13b_llama2_legacy"
SEG = 700


@pytest.fixture(scope="module")
def official():
    """The processor of an official checkpoint with the small tokenizer; 256 visual tokens."""
    recorded = Path(__file__).parents[1] / "data" / "golden_tiny_d" / "config.json"
    config = reference_config(json.loads(recorded.read_text()))
    tokens = TokenConfig(seg=SEG, image_start=701, image_end=702)
    config = replace(config, language=replace(config.language, vocab_size=703), tokens=tokens)
    return LisaProcessor(config, LlamaTextProcessor.from_folder(TOKENIZER, config))


@pytest.fixture
def embedded(tiny_text):
    return LisaProcessor(tiny_text.config, tiny_text)


def sample(*conversations, masks=0, size=(40, 60), source="a set: an item"):
    turns = tuple(tuple(Turn(*pair) for pair in conversation) for conversation in conversations)
    rng = np.random.default_rng(masks)
    return TrainingSample(rng.integers(0, 255, (*size, 3), np.uint8), turns, rng.random((masks, *size)) < 0.5, source)


CUP = ("Where is the cup?", "It is [SEG].")
FORK = ("And the fork?", "Sure, it is [SEG] .")
WORDS = ("What is this?", "A table with a cup and a fork on it.")


def test_conversations_are_padded_and_know_their_image(official):
    first, second = sample([CUP], [WORDS], masks=1), sample([CUP, FORK], masks=2, size=(30, 20))
    batch = Collator(official)([first, second])
    wanted = [official.text.conversation(turns) for turns in (*first.conversations, *second.conversations)]
    assert batch.image_of.tolist() == [0, 0, 1]
    for row, (ids, labels, attended) in enumerate(
        zip(batch.input_ids, batch.labels, batch.attention_mask, strict=True)
    ):
        assert attended.dtype == torch.bool and attended.sum() == len(wanted[row].input_ids)
        assert torch.equal(ids[attended], wanted[row].input_ids) and (ids[~attended] == 0).all()
        assert torch.equal(labels[attended], wanted[row].labels) and (labels[~attended] == IGNORE_INDEX).all()
    assert (batch.input_ids == IMAGE_TOKEN).sum(1).tolist() == [1, 1, 1] and batch.request is None
    assert [masks.shape for masks in batch.masks] == [(1, 40, 60), (2, 30, 20)] and batch.num_masks == 3
    assert batch.masks[1].numpy().tolist() == second.masks.tolist()
    assert batch.num_label_tokens == sum(int((row.labels != IGNORE_INDEX).sum()) for row in wanted)
    assert batch.cut_conversations == batch.cut_masks == 0


def test_images_are_prepared_one_by_one_and_stacked(official, embedded):
    samples = [sample([CUP], masks=1), sample([WORDS], size=(30, 20))]
    for processor in (official, embedded):
        images = Collator(processor)(samples).images
        for index, one in enumerate(samples):
            alone = processor.image(one.rgb)
            assert torch.equal(images.pixel_values[index], alone.pixel_values[0])
            assert torch.equal(images.mask_pixel_values[index], alone.mask_pixel_values[0])
            assert images.resized_sizes[index] == alone.resized_sizes[0]
        assert images.original_sizes == [(40, 60), (30, 20)]
        assert (images.pixel_values is images.mask_pixel_values) == (processor is embedded)


def test_requests_of_the_embedded_kind_are_padded(embedded):
    batch = Collator(embedded)([sample([CUP], [("knife", "It is the knife [SEG].")], masks=2)])
    wanted = [embedded.text.request_inputs(text).input_ids[0] for text in (CUP[0], "knife")]
    assert batch.request.attention_mask.sum(1).tolist() == [len(ids) for ids in wanted]
    for ids, attended, expected in zip(batch.request.input_ids, batch.request.attention_mask, wanted, strict=True):
        assert torch.equal(ids[attended.bool()], expected)
    assert (batch.input_ids == REQUEST_TOKEN).sum(1).tolist() == [1, 1]


def positions_of(processor, conversation):
    request = 0 if conversation.request is None else conversation.request.input_ids.shape[1]
    return len(conversation.input_ids) + processor.config.vision.num_image_tokens - 1 + request


@pytest.mark.parametrize("kind", ["official", "embedded"])
def test_a_conversation_of_the_greatest_length_is_whole_and_a_longer_one_is_cut_and_counted(kind, request):
    processor = request.getfixturevalue(kind)
    samples = [sample([CUP], [WORDS], masks=1)]
    length = positions_of(processor, processor.text.conversation((Turn(*WORDS),)))
    whole, cut = (Collator(processor, size)(samples) for size in (length, length - 1))
    assert whole.cut_conversations == 0 and cut.cut_conversations == 1
    assert cut.input_ids.shape[1] == whole.input_ids.shape[1] - 1
    assert torch.equal(cut.labels, whole.labels[:, :-1])


def test_the_mask_of_a_seg_that_was_cut_goes_with_it(official):
    both, single = sample([CUP, FORK], [CUP], masks=3), sample([FORK], masks=1)
    conversation = official.text.conversation((Turn(*CUP), Turn(*FORK)))
    last_seg = int((conversation.input_ids == SEG).nonzero().max())
    batch = Collator(official, last_seg + 255)([both, single])
    assert batch.cut_conversations == 1 and batch.cut_masks == 1 and batch.num_masks == 3
    assert batch.masks[0].numpy().tolist() == both.masks[[0, 2]].tolist()
    assert int((batch.input_ids == SEG).sum()) == 3


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (sample([CUP], masks=2), r"a set: an item has 2 masks for 1 \[SEG\]\."),
        (sample([("Where is [SEG]?", "[SEG].")], masks=1), r"a set: an item has 1 masks for 2 \[SEG\]\."),
        (
            replace(sample([CUP], masks=1), masks=np.zeros((1, 4, 4), bool)),
            r"masks \[1, 4, 4\] for an image of \[40, 60\]",
        ),
    ],
)
def test_masks_that_do_not_belong_to_the_answers_are_named(official, wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        Collator(official)([wrong])


@pytest.mark.parametrize(("kind", "length"), [("official", 200), ("embedded", 7)])
def test_a_length_without_room_for_the_image_and_the_request_is_an_error(kind, length, request):
    with pytest.raises(ValueError, match=f"max_length is {length}; it leaves no room for the image in a set: an item"):
        Collator(request.getfixturevalue(kind), length)([sample([CUP], masks=1)])


def test_a_batch_moves_as_a_whole_and_travels_between_processes(embedded):
    batch = Collator(embedded)([sample([CUP], masks=1)])
    moved = batch.to("meta", torch.bfloat16)
    tensors = (moved.images.pixel_values, moved.input_ids, moved.attention_mask, moved.labels, moved.image_of)
    assert {value.device.type for value in (*tensors, *moved.masks, moved.request.input_ids)} == {"meta"}
    assert moved.images.pixel_values.dtype == torch.bfloat16 and moved.masks[0].dtype == torch.bool
    assert moved.images.pixel_values is moved.images.mask_pixel_values
    assert batch.to("cpu").images.pixel_values.dtype == torch.float32
    assert torch.equal(pickle.loads(pickle.dumps(batch)).labels, batch.labels)


def test_the_collator_goes_to_worker_processes(official, embedded):
    for processor in (official, embedded):
        again = pickle.loads(pickle.dumps(Collator(processor)))
        assert torch.equal(again([sample([CUP], masks=1)]).labels, Collator(processor)([sample([CUP], masks=1)]).labels)
