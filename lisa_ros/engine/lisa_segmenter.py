"""LISA as a Segmenter: one image pass a frame, the mask as soon as ``[SEG]`` is predicted, words as they come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lisa_ros.answers import (
    Answer,
    Event,
    Finished,
    MaskReady,
    Mode,
    Request,
    SegmentedObject,
    TextDelta,
    Verdict,
)
from lisa_ros.engine.decoding import extend, greedy_steps, predict
from lisa_ros.engine.masks import decode_object
from lisa_ros.engine.view import LisaView, milliseconds_since
from lisa_ros.model.checkpoints import CheckpointError
from lisa_ros.model.configuration import ConfigurationError
from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.processing import LisaProcessor
from lisa_ros.segmenter import SegmenterError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class LisaSegmenter:
    """The engine of the package; see ``lisa_ros.segmenter.Segmenter`` for its contract."""

    def __init__(self, model: LisaModel, processor: LisaProcessor) -> None:
        self.model, self.processor = model, processor
        self.name = model.config.name
        self.prefix_ids = processor.text.prompt("what is this").prefix_ids.to(model.device)

    @classmethod
    def load(
        cls,
        model: str | Path,
        device: str = "auto",
        dtype: str = "auto",
        quantization: str = "none",
        threads: int = 0,
    ) -> LisaSegmenter:
        """Load a checkpoint folder.

        ``device`` "auto" is CUDA when there is one; ``dtype`` "auto" is bfloat16 on CUDA and float32 on a CPU;
        ``threads`` 0 leaves the number of CPU threads to torch. Raises ``SegmenterError`` with one sentence.
        """
        if quantization != "none":
            raise SegmenterError(f"quantization is {quantization!r}; this release loads 'none' only.")
        if threads:
            torch.set_num_threads(threads)
        chosen_device = _device(device)
        try:
            network = LisaModel.from_pretrained(model, dtype=_dtype(dtype, chosen_device), device=chosen_device)
            return cls(network, LisaProcessor.from_pretrained(model))
        except (CheckpointError, ConfigurationError) as error:
            raise SegmenterError(str(error)) from error

    def look(self, rgb: NDArray[np.uint8]) -> LisaView:
        """Take one image, uint8 RGB ``[H, W, 3]``; nothing of the network runs until it is asked about."""
        started = time.perf_counter()
        images = self.processor.image(rgb).to(self.model.device, self.model.dtype)
        return LisaView(self.model, images, self.prefix_ids, {"prepare": milliseconds_since(started)})

    def ask(self, view: LisaView, request: Request) -> Iterator[Event]:
        """Yield the events of the answer; close the iterator to cancel within one decoding step."""
        return _AnswerInTheMaking(self, view, request).events()

    def close(self) -> None:
        """Free the memory of the network."""
        device = self.model.device
        del self.model, self.processor
        if device.type == "cuda":
            torch.cuda.empty_cache()


class _AnswerInTheMaking:
    """The state of one answer while it is generated."""

    def __init__(self, segmenter: LisaSegmenter, view: LisaView, request: Request) -> None:
        self.model, self.text, self.name = segmenter.model, segmenter.processor.text, segmenter.name
        self.view, self.request = view, request
        self.token_ids: list[int] = []
        self.words = ""
        self.objects: list[SegmentedObject] = []
        self.started = time.perf_counter()
        self.timings: dict[str, float] = {}

    def events(self) -> Iterator[Event]:
        looked = set(self.view.timings)
        prefix = self.view.prefix()
        hidden_state = self._read_request(prefix.cache)
        if self.request.mode is Mode.MASK_FIRST:
            yield from self._force_mask(hidden_state)
        else:
            yield from self._generate(hidden_state, prefix.cache)
        looked_now = {name: value for name, value in self.view.timings.items() if name not in looked}
        self.timings = looked_now | self.timings | {"total": milliseconds_since(self.started)}
        yield Finished(Answer(self._verdict(), self.words, tuple(self.objects), self.timings, self.name))

    @torch.inference_mode()
    def _read_request(self, cache: object) -> torch.Tensor:
        """Run the request after the image; returns the state that predicts the first token of the answer."""
        started = time.perf_counter()
        prompt, device = self.text.prompt(self.request.text), self.model.device
        states = None
        if prompt.request is not None and self.model.request_encoder is not None:
            request_ids, mask = prompt.request.input_ids.to(device), prompt.request.attention_mask.to(device)
            states = self.model.request_encoder(request_ids, mask)[0]
        embeddings, _ = self.model.embed(prompt.request_ids.to(device), request_states=states)
        hidden_state = extend(self.model, embeddings, cache)[-1]  # type: ignore[arg-type]
        self.timings["read_request"] = milliseconds_since(started)
        return hidden_state

    def _force_mask(self, hidden_state: torch.Tensor) -> Iterator[Event]:
        """Teacher-force ``[SEG]`` as the first token, as the paper's evaluation does."""
        probabilities = torch.softmax(predict(self.model, hidden_state).logits.float(), dim=-1)
        yield self._mask(hidden_state, float(probabilities[self.model.config.tokens.seg]))

    def _generate(self, hidden_state: torch.Tensor, cache: object) -> Iterator[Event]:
        started = time.perf_counter()
        tokens = self.model.config.tokens
        for step in greedy_steps(self.model, hidden_state, cache, self.request.max_new_tokens):  # type: ignore[arg-type]
            if step.token == tokens.seg:
                yield self._mask(step.hidden_state, step.probability)
            self.token_ids.append(step.token)
            words = self.text.words(self.token_ids)
            if len(words) > len(self.words) and words.startswith(self.words):
                yield TextDelta(words[len(self.words) :])
                self.words = words
        self.words = self.text.words(self.token_ids)
        self.timings["words"] = milliseconds_since(started) - self.timings.get("masks", 0.0)

    def _mask(self, hidden_state: torch.Tensor, probability: float) -> MaskReady:
        started = time.perf_counter()
        found = decode_object(self.view, hidden_state, self.text.label(self.token_ids), probability)
        self.timings["masks"] = self.timings.get("masks", 0.0) + milliseconds_since(started)
        self.timings.setdefault("to_first_mask", milliseconds_since(self.started))
        self.objects.append(found)
        return MaskReady(found)

    def _verdict(self) -> Verdict:
        """``[SEG]`` with pixels is found; ``[REJ]`` or only empty masks is not present; neither is words only."""
        if any(found.area for found in self.objects):
            return Verdict.FOUND
        if self.objects or self.model.config.tokens.rejection in self.token_ids:
            return Verdict.NOT_PRESENT
        return Verdict.WORDS_ONLY


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SegmenterError(f"device is {name!r}; valid are auto, cpu, cuda and cuda:N.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SegmenterError(f"device is {name!r}, but torch finds no CUDA device here; choose cpu or auto.")
    return device


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise SegmenterError(f"dtype is {name!r}; choose one of auto, {', '.join(DTYPES)}.")
    return DTYPES[name]
