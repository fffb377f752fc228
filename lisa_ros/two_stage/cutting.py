"""Stage two: an open-vocabulary segmenter of transformers turns a name into masks.

CLIPSeg gives one mask for all that bears the name; a detector (OWL-ViT, OWLv2, Grounding DINO) with SAM gives one a
thing. All run in float32: they are small beside the language model, and SAM overflows in float16. None needs
torchvision. SAM 3 is left out because transformers' SAM 3 cannot be made without it.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional
from transformers import CLIPSegForImageSegmentation

from lisa_ros.answers import SegmentedObject, box_of
from lisa_ros.segmenter import SegmenterError
from lisa_ros.two_stage.box_cutting import DETECTORS, BoxCutter
from lisa_ros.two_stage.loading import load_config, load_model, load_processor, on_device

ROLE = "segmenter"


class Cutter(Protocol):
    """Turns names into masks of one image."""

    def look(self, rgb: NDArray[np.uint8]) -> Any:
        """Compute what depends on the image only, uint8 RGB ``[H, W, 3]``."""
        ...

    def cut(self, looked: Any, name: str) -> list[SegmentedObject]:
        """Return what bears the name, best first, in masks of the image's size; none when there is nothing."""
        ...


def load_cutter(
    source: str, mask_model: str, *, device: torch.device, threshold: float, box_threshold: float
) -> Cutter:
    """Load a local folder or hub id by the kind its configuration names; raises ``SegmenterError``."""
    kind = load_config(source, ROLE).model_type
    if kind == "clipseg":
        return ClipSegCutter.load(source, device=device, threshold=threshold)
    if kind in DETECTORS:
        return BoxCutter.load(source, mask_model, device=device, box_threshold=box_threshold)
    raise SegmenterError(
        f"The {ROLE} {source} is a {kind!r}, which is not known to cut things out by their names; "
        f"choose a clipseg (such as CIDAS/clipseg-rd64-refined), or one of {', '.join(DETECTORS)} with a mask model."
    )


class ClipSegCutter:
    """CLIPSeg (Lüddecke and Ecker, CVPR 2022): a probability for each pixel, cut at ``threshold``.

    The score of the mask is the mean probability of its pixels.
    """

    def __init__(self, model: Any, processor: Any, threshold: float) -> None:
        self.model, self.processor, self.threshold = model, processor, threshold

    @classmethod
    def load(cls, source: str, *, device: torch.device, threshold: float) -> ClipSegCutter:
        """Load a local folder or a hub id; raises ``SegmenterError``."""
        processor = load_processor(source, ROLE, load_config(source, ROLE))
        model = load_model(CLIPSegForImageSegmentation, source, ROLE, device=device)
        return cls(model, processor, threshold)

    @torch.inference_mode()
    def look(self, rgb: NDArray[np.uint8]) -> tuple[list[Tensor], tuple[int, int]]:
        """Return the states that the decoder reads, and the size of the image."""
        inputs = on_device(self.processor(images=[Image.fromarray(rgb)], return_tensors="pt"), self.model)
        seen = self.model.clip.get_image_features(
            inputs["pixel_values"], output_hidden_states=True, interpolate_pos_encoding=True
        )
        return [seen.hidden_states[layer + 1] for layer in self.model.extract_layers], rgb.shape[:2]

    @torch.inference_mode()
    def cut(self, looked: tuple[list[Tensor], tuple[int, int]], name: str) -> list[SegmentedObject]:
        """Return the one mask of the name, or nothing when it is empty."""
        activations, size = looked
        text = on_device(self.processor(text=[name], return_tensors="pt", truncation=True), self.model)
        condition = self.model.get_conditional_embeddings(
            batch_size=1, input_ids=text["input_ids"], attention_mask=text["attention_mask"]
        )
        logits = self.model.decoder(activations, condition).logits[:, None]
        logits = functional.interpolate(logits, size, mode="bilinear", align_corners=False)[0, 0]
        probabilities = torch.sigmoid(logits).cpu().numpy()
        mask = probabilities > self.threshold
        if not mask.any():
            return []
        score = float(probabilities[mask].mean())
        return [SegmentedObject(name, mask, box_of(mask), score, seg_probability=score)]
