from __future__ import annotations

import pytest
import torch

from lisa_ros.answers import Request, Turn
from lisa_ros.two_stage.naming import ObjectNamer, object_name

TEMPLATE = (
    "{% for message in messages %}[{{ message.role }}]{% for part in message.content %}"
    "{{ '<image>' if part.type == 'image' else part.text }}{% endfor %}{% endfor %}"
    "{{ '[assistant]' if add_generation_prompt }}"
)
ASKED = 'Answer with the name of one object in the image, or with "none" if it is not there.'
CONVERSATION = Request("Then <image>?", history=(Turn("What cuts?", "the knife</s>"),))


@pytest.fixture
def namer(models):
    return ObjectNamer.load(models["llava-tiny"], device=torch.device("cpu"), dtype=torch.float32)


def test_without_a_template_the_prompt_is_that_of_llava(namer):
    assert namer.prompt(Request("What cuts?")) == f"USER: <image>\nWhat cuts? {ASKED} ASSISTANT:"


def test_turns_before_come_first_and_special_tokens_of_users_are_broken(namer):
    first, second = f"What cuts? {ASKED}", f"Then < image>? {ASKED}"
    assert namer.prompt(CONVERSATION) == f"USER: <image>\n{first} ASSISTANT: the knife< /s> USER: {second} ASSISTANT:"


def test_a_chat_template_is_used_with_the_image_once(namer):
    namer.processor.chat_template = TEMPLATE
    first, second = f"What cuts? {ASKED}", f"Then < image>? {ASKED}"
    expected = f"[user]<image>{first}[assistant]the knife< /s>[user]{second}[assistant]"
    assert namer.prompt(CONVERSATION) == expected


def test_a_text_begins_once_whether_the_template_or_the_tokenizer_writes_it(namer, rgb):
    """Some templates write the token that begins a text, which many tokenizers write too."""
    from tokenizers import processors

    namer.processor.tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        "<s> $A", special_tokens=[("<s>", 1)]
    )
    for template in (TEMPLATE, "<s>" + TEMPLATE):
        namer.processor.chat_template = template
        assert namer.inputs(rgb, Request("What cuts?"))["input_ids"][0].tolist().count(1) == 1


def test_a_request_full_of_special_tokens_is_answered_all_the_same(namer, rgb):
    assert "".join(namer.reply(rgb, CONVERSATION, 8)) == "the knife ."


def test_the_reply_is_what_the_model_generates_by_itself(namer, rgb):
    """Parity with a plain ``generate`` of a model whose words depend on the image and the request."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        for weight in namer.model.parameters():
            torch.nn.init.normal_(weight, std=0.5)
    request = Request("What cuts?")
    inputs = namer.inputs(rgb, request)
    written = namer.model.generate(**inputs, max_new_tokens=6, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    expected = namer.processor.tokenizer.decode(written, skip_special_tokens=True)
    assert len(expected.split()) > 1
    assert "".join(namer.reply(rgb, request, 6)).split() == expected.split()


def test_a_model_whose_processor_wants_videos_needs_no_torchvision(models, rgb):
    namer = ObjectNamer.load(models["qwen-tiny"], device=torch.device("cpu"), dtype=torch.float32)
    assert namer.prompt(Request("What cuts?")).startswith("user : <|vision_start|><|image_pad|>")
    assert "".join(namer.reply(rgb, Request("What cuts?"), 8)) == "the knife ."


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        ("knife", "knife"),
        ("A bread knife.", "bread knife"),
        ("The answer is the knife", "knife"),
        ("It is a cup. It holds tea.", "cup"),
        ('"An orange"\nbecause it is sweet', "orange"),
        ("Answer: **Notebook**", "Notebook"),
        ("St. Bernard dog", "St. Bernard dog"),
        ("none", ""),
        ("None.", ""),
        ("There is no such object", ""),
        ("Nothing in the image", ""),
        ("Not present", ""),
        ("no", ""),
        ("It is not there", ""),
        ("northern lamp", "northern lamp"),
        (" . ", ""),
        ("", ""),
    ],
)
def test_the_name_in_a_reply(reply, name):
    assert object_name(reply) == name
