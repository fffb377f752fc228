from __future__ import annotations

import threading

import numpy as np
import pytest

from lisa_ros.answers import Finished, MaskReady, Mode, Request, TextDelta, Verdict
from lisa_ros.segmenter import SegmenterError, make_segmenter


@pytest.fixture
def make(models):
    """Make the segmenter of two tiny models; half of the pixels are above CLIPSeg's threshold."""

    def make(language="llava-tiny", segmenter="clipseg-tiny", **options):
        options = {"device": "cpu", "threshold": 0.05} | options
        return make_segmenter("two_stage", language=models[language], segmenter=models[segmenter], **options)

    return make


def forward_calls(segmenter):
    """A list that grows by one with every forward pass of the language model."""
    calls = []
    segmenter.namer.model.register_forward_hook(lambda *_: calls.append(1))
    return calls


def test_the_name_is_streamed_then_cut_out(make, rgb):
    segmenter = make()
    view = segmenter.look(rgb)
    *deltas, mask, last = segmenter.ask(view, Request("what cuts bread?"))
    assert segmenter.name == "two_stage(llava-tiny + clipseg-tiny)" and view.size == rgb.shape[:2]
    assert all(isinstance(delta, TextDelta) for delta in deltas) and len(deltas) > 1
    assert isinstance(mask, MaskReady) and isinstance(last, Finished)
    answer = last.answer
    assert (answer.verdict, answer.words, answer.model) == (Verdict.FOUND, "the knife .", segmenter.name)
    assert answer.words == answer.transcript == "".join(delta.text for delta in deltas)
    assert answer.objects == (mask.object,) and mask.object.label == "knife"
    assert mask.object.mask.shape == rgb.shape[:2] and mask.object.mask.dtype == bool
    assert {"words", "look_masks", "masks", "to_first_mask", "total"} == set(answer.timings)


def test_the_image_is_computed_once_for_the_segmenter(make, rgb):
    segmenter, looks = make(), []
    look = segmenter.cutter.look
    segmenter.cutter.look = lambda image: looks.append(1) or look(image)
    view = segmenter.look(rgb)
    first, second = (list(segmenter.ask(view, Request("what cuts bread?")))[-1].answer for _ in range(2))
    assert looks == [1] and "look_masks" not in second.timings
    assert np.array_equal(first.objects[0].mask, second.objects[0].mask)


def test_a_reply_of_none_means_not_present_without_looking(make, rgb):
    segmenter = make("llava-none")
    view = segmenter.look(rgb)
    *_, last = segmenter.ask(view, Request("a unicorn"))
    assert (last.answer.verdict, last.answer.words, last.answer.objects) == (Verdict.NOT_PRESENT, "none", ())
    assert view.looked is None


def test_a_name_that_is_found_nowhere_means_not_present(make, rgb):
    segmenter = make(threshold=1.0)
    *events, last = segmenter.ask(segmenter.look(rgb), Request("what cuts bread?"))
    assert (last.answer.verdict, last.answer.objects) == (Verdict.NOT_PRESENT, ())
    assert not any(isinstance(event, MaskReady) for event in events)


def test_a_forced_mask_has_no_words_and_falls_back_on_the_request(make, rgb):
    segmenter, names = make("llava-none"), []
    cut = segmenter.cutter.cut
    segmenter.cutter.cut = lambda looked, name: names.append(name) or cut(looked, name)
    mask, last = segmenter.ask(segmenter.look(rgb), Request("the cup", mode=Mode.MASK_FIRST))
    assert isinstance(mask, MaskReady) and names == ["the cup"]
    assert (last.answer.verdict, last.answer.words, last.answer.transcript) == (Verdict.FOUND, "", "none")


def test_closing_the_iterator_ends_the_generation(make, rgb):
    segmenter = make("llava-endless", max_new_tokens=2000)
    calls = forward_calls(segmenter)
    answer = segmenter.ask(segmenter.look(rgb), Request("what cuts bread?", max_new_tokens=2000))
    assert isinstance(next(answer), TextDelta)
    answer.close()
    count = len(calls)
    assert 0 < count < 1000 and "naming" not in {thread.name for thread in threading.enumerate()}
    assert len(calls) == count, "something goes on computing"


@pytest.mark.parametrize(("option", "request_limit", "expected"), [(3, 64, 3), (16, 2, 2)])
def test_a_name_has_at_most_so_many_tokens(make, rgb, option, request_limit, expected):
    segmenter = make("llava-endless", max_new_tokens=option)
    calls = forward_calls(segmenter)
    list(segmenter.ask(segmenter.look(rgb), Request("what cuts bread?", max_new_tokens=request_limit)))
    assert len(calls) == expected


def test_a_fault_of_the_language_model_is_raised_not_waited_for(make, rgb):
    segmenter = make()

    def fail(*_):
        raise RuntimeError("the network is broken")

    segmenter.namer.model.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="the network is broken"):
        list(segmenter.ask(segmenter.look(rgb), Request("what cuts bread?")))


def test_a_language_model_in_bfloat16_gives_the_same_name(make, rgb):
    segmenter = make(dtype="bfloat16")
    *_, last = segmenter.ask(segmenter.look(rgb), Request("what cuts bread?"))
    assert next(segmenter.namer.model.parameters()).element_size() == 2
    assert last.answer.words == "the knife ."


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_an_image_of_another_shape_or_type_is_refused(make, image):
    with pytest.raises(ValueError, match="must be uint8"):
        make().look(image)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"threshold": 1.5}, "threshold is 1.5; it must lie in"),
        ({"box_threshold": -1}, "box_threshold is -1; it must lie in"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0; it must be 1 or more"),
        ({"device": "tpu7"}, "device is 'tpu7'; valid are auto, cpu"),
        ({"dtype": "int4"}, "dtype is 'int4'; choose one of auto, float32"),
        ({"segmenter": "llava-tiny"}, "is a 'llava', which is not known to cut things out by their names"),
        ({"language": "clipseg-tiny"}, "is a 'clipseg', which does not answer questions about images"),
    ],
)
def test_an_option_that_is_not_valid_is_quoted(make, options, words):
    with pytest.raises(SegmenterError, match=words):
        make(**options)


@pytest.mark.parametrize("given", ["language", "segmenter"])
def test_a_model_that_is_not_named_is_asked_for(models, given):
    name = {"language": "llava-tiny", "segmenter": "clipseg-tiny"}[given]
    with pytest.raises(SegmenterError, match=r"No (segmenter|language model) is named; give a local folder or an id"):
        make_segmenter("two_stage", **{given: models[name]})


def test_close_frees_the_networks(make):
    segmenter = make()
    segmenter.close()
    assert not hasattr(segmenter, "namer") and not hasattr(segmenter, "cutter")
