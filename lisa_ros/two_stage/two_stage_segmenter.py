"""The two-stage baseline as a Segmenter (Lai et al., CVPR 2024, table 1: "LLaVA1.5 + OVSeg").

A language model names what a request asks for, and only the name reaches the segmenter.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lisa_ros.answers import Answer, Event, Finished, MaskReady, Mode, Request, SegmentedObject, TextDelta, Verdict
from lisa_ros.engine.placement import chosen_device, chosen_dtype
from lisa_ros.segmenter import SegmenterError
from lisa_ros.two_stage.cutting import Cutter, load_cutter
from lisa_ros.two_stage.loading import short_name
from lisa_ros.two_stage.naming import ObjectNamer, object_name


class TwoStageView:
    """One image: itself for the language model, and what the segmenter computes of it, when first needed."""

    def __init__(self, rgb: NDArray[np.uint8]) -> None:
        self.rgb = rgb
        self.looked: Any = None

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)`` of the image in pixels."""
        return self.rgb.shape[0], self.rgb.shape[1]


class TwoStageSegmenter:
    """Names the target, then cuts it out; see ``lisa_ros.segmenter.Segmenter`` for the contract.

    The words of an answer are the reply of the language model. It is ``NOT_PRESENT`` when that reply names nothing
    ("none"), or when the segmenter finds nothing of the name. In ``Mode.MASK_FIRST`` there are no words, and the
    request itself is cut out when no name is given, because a mask is wanted in any case. What the language model
    computes of an image is computed for every request: transformers has no way to keep it that all models share.
    """

    def __init__(self, namer: ObjectNamer, cutter: Cutter, name: str, max_new_tokens: int) -> None:
        self.namer, self.cutter, self.name, self.max_new_tokens = namer, cutter, name, max_new_tokens

    @classmethod
    def load(
        cls,
        language: str = "",
        segmenter: str = "",
        mask_model: str = "",
        device: str = "auto",
        dtype: str = "auto",
        threshold: float = 0.5,
        box_threshold: float = 0.25,
        max_new_tokens: int = 16,
        threads: int = 0,
    ) -> TwoStageSegmenter:
        """Load a vision-language model and a segmenter, each from a local folder or by an id of the Hugging Face hub.

        ``language`` is any image-text-to-text model of transformers whose processor takes single pictures, such as
        LLaVA-1.5 or Qwen2-VL; ``segmenter`` a CLIPSeg, or an OWL-ViT, OWLv2 or Grounding DINO together with a SAM as
        ``mask_model``. ``dtype`` is that of the language model ("auto": bfloat16 on CUDA, else float32); the rest is
        float32. ``threshold`` cuts CLIPSeg's probabilities, ``box_threshold`` the scores of a detector's boxes. A name
        has at most ``max_new_tokens``. ``threads`` 0 leaves the number of CPU threads to torch. Raises
        ``SegmenterError`` with one sentence.
        """
        _require_between_0_and_1(threshold=threshold, box_threshold=box_threshold)
        if max_new_tokens < 1:
            raise SegmenterError(f"max_new_tokens is {max_new_tokens}; it must be 1 or more.")
        if threads:
            torch.set_num_threads(threads)
        place = chosen_device(device)
        cutter = load_cutter(segmenter, mask_model, device=place, threshold=threshold, box_threshold=box_threshold)
        namer = ObjectNamer.load(language, device=place, dtype=chosen_dtype(dtype, place))
        parts = " + ".join(short_name(source) for source in (language, segmenter, mask_model) if source)
        return cls(namer, cutter, f"two_stage({parts})", max_new_tokens)

    def look(self, rgb: NDArray[np.uint8]) -> TwoStageView:
        """Take one image, uint8 RGB ``[H, W, 3]``; nothing runs until it is asked about."""
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
            raise ValueError(f"An image must be uint8 [height, width, 3], not {rgb.dtype} {list(rgb.shape)}.")
        return TwoStageView(rgb)

    def ask(self, view: TwoStageView, request: Request) -> Iterator[Event]:
        """Yield the reply as it is written, then the masks; close the iterator to cancel within one token."""
        clock, reply = _Clock(), ""
        for piece in self.namer.reply(view.rgb, request, min(request.max_new_tokens, self.max_new_tokens)):
            reply += piece
            if piece and request.mode is not Mode.MASK_FIRST:
                yield TextDelta(piece)
        clock.lap("words")
        name = object_name(reply)
        if not name and request.mode is Mode.MASK_FIRST:
            name = request.text
        objects = self._cut(view, name, clock) if name else ()
        for found in objects:
            clock.first_mask()
            yield MaskReady(found)
        verdict = Verdict.FOUND if objects else Verdict.NOT_PRESENT
        words = "" if request.mode is Mode.MASK_FIRST else reply
        yield Finished(Answer(verdict, words, objects, clock.total(), self.name, transcript=reply))

    def _cut(self, view: TwoStageView, name: str, clock: _Clock) -> tuple[SegmentedObject, ...]:
        if view.looked is None:
            view.looked = self.cutter.look(view.rgb)
            clock.lap("look_masks")
        objects = tuple(self.cutter.cut(view.looked, name))
        clock.lap("masks")
        return objects

    def close(self) -> None:
        """Free the memory of the networks."""
        device = self.namer.model.device
        del self.namer, self.cutter
        if device.type == "cuda":
            torch.cuda.empty_cache()


class _Clock:
    """Milliseconds of each stage of one answer."""

    def __init__(self) -> None:
        self.started = self.last = time.perf_counter()
        self.timings: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.timings[stage], self.last = 1000.0 * (now - self.last), now

    def first_mask(self) -> None:
        self.timings.setdefault("to_first_mask", 1000.0 * (time.perf_counter() - self.started))

    def total(self) -> dict[str, float]:
        return self.timings | {"total": 1000.0 * (time.perf_counter() - self.started)}


def _require_between_0_and_1(**values: float) -> None:
    for name, value in values.items():
        if not 0.0 <= value <= 1.0:
            raise SegmenterError(f"{name} is {value}; it must lie in [0, 1].")
