"""Stage one: a vision-language model of transformers is shown the image and asked for the name of one object."""

from __future__ import annotations

import re
from collections.abc import Iterator
from threading import Event as Flag
from threading import Thread
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, AutoModelForImageTextToText

from lisa_ros.answers import Request
from lisa_ros.segmenter import SegmenterError
from lisa_ros.two_stage.loading import load_config, load_model, load_processor, on_device

ROLE = "language model"
QUESTION = '{request} Answer with the name of one object in the image, or with "none" if it is not there.'
"""What the model is asked, in every chat template and without one."""
USER, ASSISTANT = "USER: ", " ASSISTANT:"
"""Roles of a prompt for a processor without a chat template: those of LLaVA-1.5."""
SENTENCE_END = re.compile(r"\n|(?<=\w\w\w)[.!?](?=\s|$)")
"""Not after a short word, which may be an abbreviation ("St. Bernard")."""
PREAMBLE = re.compile(
    r"^(answer\s*:|(the|an|my) (answer|object|target)( here)? (is|would be)\b|it is\b|it's\b|this is\b|that is\b)\s*",
    re.IGNORECASE,
)
ARTICLE = re.compile(r"^(an?|the)\s+", re.IGNORECASE)
NOTHING = re.compile(r"^(none|nothing|no|not|n/a|there (is|are) (no|nothing|none))\b", re.IGNORECASE)


class ObjectNamer:
    """A vision-language model that answers requests with the name of an object."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model, self.processor = model, processor
        tokens = {*processor.tokenizer.all_special_tokens, str(getattr(processor, "image_token", "") or "")}
        self.special_tokens = sorted((token for token in tokens if len(token) > 1), key=len, reverse=True)

    @classmethod
    def load(cls, source: str, *, device: torch.device, dtype: torch.dtype) -> ObjectNamer:
        """Load a local folder or a hub id; raises ``SegmenterError`` with one sentence."""
        config = load_config(source, ROLE)
        if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
            raise SegmenterError(
                f"The {ROLE} {source} is a {config.model_type!r}, which does not answer questions about images; "
                "choose one that does, such as llava-hf/llava-1.5-7b-hf."
            )
        processor = load_processor(source, ROLE, config)
        return cls(load_model(AutoModelForImageTextToText, source, ROLE, device=device, dtype=dtype), processor)

    def reply(self, rgb: NDArray[np.uint8], request: Request, max_new_tokens: int) -> Iterator[str]:
        """Yield the reply about an image, uint8 RGB ``[H, W, 3]``, as it is written; greedy.

        Closing the iterator ends the generation within one token.
        """
        inputs = self.inputs(rgb, request)
        streamer = TextIteratorStreamer(self.processor.tokenizer, skip_prompt=True, skip_special_tokens=True)
        cancelled, failures = Flag(), list[Exception]()

        def write() -> None:
            try:
                self.model.generate(
                    **on_device(inputs, self.model),
                    max_new_tokens=max_new_tokens,
                    do_sample=False,
                    streamer=streamer,
                    stopping_criteria=StoppingCriteriaList([_Cancelled(cancelled)]),
                )
            except Exception as error:
                failures.append(error)
                streamer.end()

        thread = Thread(target=write, name="naming", daemon=True)
        thread.start()
        try:
            yield from streamer
        finally:
            cancelled.set()
            thread.join()
        if failures:
            raise failures[0]

    def inputs(self, rgb: NDArray[np.uint8], request: Request) -> Any:
        """Return image and prompt as the model takes them, with one beginning of the text."""
        prompt, begin = self.prompt(request), self.processor.tokenizer.bos_token
        has_begun = {"add_special_tokens": False} if begin and prompt.startswith(begin) else {}
        return self.processor(images=[Image.fromarray(rgb)], text=prompt, return_tensors="pt", **has_begun)

    def prompt(self, request: Request) -> str:
        """Return the prompt: the image, the turns before, the question, and the start of the reply."""
        turns = [(self._question(turn.request), self._neutralised(turn.answer)) for turn in request.history]
        question = self._question(request.text)
        if self.processor.chat_template or self.processor.tokenizer.chat_template:
            return self._templated(turns, question)
        image_token = getattr(self.processor, "image_token", None)
        texts = [f"{USER}{asked}{ASSISTANT} {answered}" for asked, answered in turns] + [f"{USER}{question}{ASSISTANT}"]
        if image_token:
            texts[0] = texts[0].replace(USER, f"{USER}{image_token}\n", 1)
        return " ".join(texts)

    def _templated(self, turns: list[tuple[str, str]], question: str) -> str:
        messages: list[dict[str, Any]] = []
        for asked, answered in turns:
            messages += [_message("user", asked), _message("assistant", answered)]
        messages.append(_message("user", question))
        messages[0]["content"].insert(0, {"type": "image"})
        template = self.processor.chat_template or self.processor.tokenizer.chat_template
        return self.processor.apply_chat_template(messages, chat_template=template, add_generation_prompt=True)

    def _question(self, request: str) -> str:
        return QUESTION.format(request=self._neutralised(request))

    def _neutralised(self, text: str) -> str:
        """Return text in which no special token of the model can be read: a space breaks each."""
        for token in self.special_tokens:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text


class _Cancelled(StoppingCriteria):
    """Ends a generation when a flag is set."""

    def __init__(self, flag: Flag) -> None:
        self.flag = flag

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Say for each sequence of the batch whether it ends here."""
        return torch.full((len(input_ids),), self.flag.is_set(), device=input_ids.device, dtype=torch.bool)


def _message(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def object_name(reply: str) -> str:
    """Return the name in a reply without article or preamble; empty when the reply says that nothing is there."""
    first = SENTENCE_END.split(reply.strip(), maxsplit=1)[0]
    name = PREAMBLE.sub("", first.strip(" \t\"'`*.,:;"))
    name = ARTICLE.sub("", name.strip(" \t\"'`*.,:;")).strip(" \t\"'`*.,:;")
    return "" if NOTHING.match(name) else name
