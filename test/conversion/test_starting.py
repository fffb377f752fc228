from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from lisa_ros.conversion.starting import begin, with_lisa_tokens, write_fresh_projection
from lisa_ros.model.llama_tokenizer import LlamaTokenizer

from .conftest import DATA

LINEAR = {"model.mm_projector.weight": (96, 48), "model.mm_projector.bias": (96,)}
NUMBERED = {"model.mm_projector.0.weight": (96, 48), "model.mm_projector.2.bias": (96,)}


def tokenizer(**added):
    pieces = LlamaTokenizer.from_folder(DATA / "tokenizers" / "7b_legacy").pieces
    return LlamaTokenizer(pieces, added, legacy=True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"[SEG]": 700, "<im_start>": 701, "<im_end>": 702}),
        ({"<im_start>": 701, "<im_end>": 702, "<im_patch>": 700}, {"[SEG]": 703}),
        ({"[SEG]": 700}, {"<im_start>": 701, "<im_end>": 702}),
        ({"[SEG]": 700, "<im_end>": 701, "<im_start>": 702}, {}),
    ],
)
def test_only_tokens_that_are_not_there_are_added_in_the_order_of_the_reference(before, after):
    assert with_lisa_tokens(tokenizer(**before), LINEAR).added == before | after


def test_on_llava_1_5_no_image_markers_are_added_as_in_lisa_plus_plus():
    assert with_lisa_tokens(tokenizer(), NUMBERED).added == {"[SEG]": 700}
    assert begin({"vocab_size": 700}, tokenizer(), NUMBERED, 0).values["mm_use_im_start_end"] is False


def test_the_vocabulary_grows_to_the_new_tokens_and_never_shrinks():
    for rows, expected in ((700, 703), (702, 703), (703, 703), (704, 704)):
        shapes = LINEAR | {"model.embed_tokens.weight": (rows, 96)}
        beginning = begin({"vocab_size": rows, "hidden_size": 96}, tokenizer(), shapes, 7)
        assert beginning.rows == expected and beginning.values["mm_use_im_start_end"] is True
        assert beginning.told["new_tokens"] == {"[SEG]": 700, "<im_start>": 701, "<im_end>": 702}
        assert beginning.told["seed"] == 7


def test_the_projection_is_that_of_its_seed_and_of_torch(tmp_path):
    shapes = {
        "model.embed_tokens.weight": (304, 96),
        "model.visual_model.mask_decoder.transformer.layers.0.norm1.weight": (64,),
    }
    state = torch.get_rng_state()
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_fresh_projection(tmp_path / name, shapes, seed)
    assert torch.equal(torch.get_rng_state(), state)
    first, again, other = (load_file(tmp_path / name) for name in "abc")
    assert {name: tuple(value.shape) for name, value in first.items()} == {
        "model.text_hidden_fcs.0.0.weight": (96, 96),
        "model.text_hidden_fcs.0.0.bias": (96,),
        "model.text_hidden_fcs.0.2.weight": (64, 96),
        "model.text_hidden_fcs.0.2.bias": (64,),
    }
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)
    bound = 96**-0.5
    assert all(value.dtype is torch.float32 and 0.8 * bound < value.abs().max() <= bound for value in first.values())
