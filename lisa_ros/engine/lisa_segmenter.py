"""LISA as a Segmenter: one image pass a frame, the mask as soon as ``[SEG]`` is predicted, words as they come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lisa_ros.answers import Event, Request
from lisa_ros.engine.answer_making import AnswerInTheMaking
from lisa_ros.engine.placement import chosen_device, chosen_dtype
from lisa_ros.engine.view import LisaView, milliseconds_since
from lisa_ros.model.checkpoints import CheckpointError
from lisa_ros.model.configuration import ConfigurationError
from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.processing import LisaProcessor
from lisa_ros.segmenter import SegmenterError


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
        """Load a checkpoint folder or hub id.

        ``device`` "auto" is CUDA when there is one; ``dtype`` "auto" is bfloat16 on CUDA and float32 on a CPU;
        ``quantization`` "8bit" or "4bit" shrinks the language model, see ``LisaModel.from_pretrained``; ``threads`` 0
        leaves the number of CPU threads to torch. Raises ``SegmenterError`` with one sentence.
        """
        if threads:
            torch.set_num_threads(threads)
        place = chosen_device(device)
        try:
            network = LisaModel.from_pretrained(
                model,
                dtype=chosen_dtype(dtype, place),
                device=place,
                quantization=None if quantization == "none" else quantization,
            )
            return cls(network, LisaProcessor.from_pretrained(model))
        except (CheckpointError, ConfigurationError) as error:
            raise SegmenterError(str(error)) from error

    def look(self, rgb: NDArray[np.uint8]) -> LisaView:
        """Take one image, uint8 RGB ``[H, W, 3]``; nothing of the network runs until it is asked about."""
        started = time.perf_counter()
        images = self.processor.image(rgb).to(self.model.device, self.model.dtype, self.model.mask_dtype)
        return LisaView(self.model, images, self.prefix_ids, {"prepare": milliseconds_since(started)})

    def ask(self, view: LisaView, request: Request) -> Iterator[Event]:
        """Yield the events of the answer; close the iterator to cancel within one decoding step."""
        return AnswerInTheMaking(self.processor.text, view, request).events()

    def close(self) -> None:
        """Free the memory of the network."""
        device = self.model.device
        del self.model, self.processor
        if device.type == "cuda":
            torch.cuda.empty_cache()
