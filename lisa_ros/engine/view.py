"""A view: everything that depends on one image only, computed when first needed and kept."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from lisa_ros.engine.decoding import Prefix, compute_prefix
from lisa_ros.model.modeling import ImageInputs, LisaModel
from lisa_ros.model.vision import MaskFeatures


class LisaView:
    """One image as the network sees it: keys and values up to the image, and the features of the mask decoder.

    ``timings`` collects the milliseconds of the stages that were computed.
    """

    def __init__(self, model: LisaModel, images: ImageInputs, prefix_ids: Tensor, timings: dict[str, float]) -> None:
        self.model, self.images, self.prefix_ids = model, images, prefix_ids
        self.timings = timings
        self._prefix: Prefix | None = None
        self._mask_features: MaskFeatures | None = None

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)`` of the image in pixels."""
        return self.images.original_sizes[0]

    @torch.inference_mode()
    def prefix(self) -> Prefix:
        """Return the shared prefix; what an earlier answer appended is cut off."""
        if self._prefix is None:
            started = time.perf_counter()
            image_tokens = self.model.encode_image_for_language(self.images)[0]
            embeddings, _ = self.model.embed(self.prefix_ids, image_tokens)
            self._prefix = compute_prefix(self.model, embeddings)
            self.timings["look_language"] = milliseconds_since(started)
        appended = self._prefix.cache.get_seq_length() - self._prefix.length
        if appended:
            self._prefix.cache.crop(-appended)
        return self._prefix

    @torch.inference_mode()
    def mask_features(self) -> MaskFeatures:
        """Return the features that the mask decoder sees."""
        if self._mask_features is None:
            started = time.perf_counter()
            self._mask_features = self.model.encode_image_for_masks(self.images)
            self.timings["look_masks"] = milliseconds_since(started)
        return self._mask_features


def milliseconds_since(started: float) -> float:
    """Return the milliseconds since a ``time.perf_counter`` value."""
    return 1000.0 * (time.perf_counter() - started)
