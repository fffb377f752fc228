"""Boxes by name, then masks by box: an open-vocabulary detector and SAM, as Grounded SAM joins them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import AutoModelForZeroShotObjectDetection, SamModel

from lisa_ros.answers import SegmentedObject, box_of
from lisa_ros.segmenter import SegmenterError
from lisa_ros.two_stage.loading import load_config, load_model, load_processor, on_device

DETECTORS = ("owlvit", "owlv2", "grounding-dino", "mm-grounding-dino")
"""Kinds of detectors that find boxes by names, as the configurations of transformers call them."""
DETECTOR_ROLE, MASK_ROLE = "segmenter", "mask model"


@dataclass(frozen=True, slots=True)
class LookedAt:
    """One image: itself for the detector, its embedding for SAM, its size before and after SAM's resize."""

    image: Image.Image
    embedding: Tensor
    original_sizes: Tensor
    resized_sizes: Tensor


class BoxCutter:
    """A detector finds the boxes of a name that score more than ``box_threshold``; SAM masks each.

    The score of a mask is that of its box times the IoU that SAM predicts.
    """

    def __init__(self, detector: Any, detector_processor: Any, sam: Any, sam_processor: Any, box_threshold: float):
        self.detector, self.detector_processor = detector, detector_processor
        self.sam, self.sam_processor = sam, sam_processor
        self.box_threshold = box_threshold

    @classmethod
    def load(cls, source: str, mask_model: str, *, device: torch.device, box_threshold: float) -> BoxCutter:
        """Load a detector and a SAM, each from a local folder or by a hub id; raises ``SegmenterError``."""
        config = load_config(source, DETECTOR_ROLE)
        if not mask_model:
            raise SegmenterError(
                f"The {DETECTOR_ROLE} {source} is a {config.model_type!r}, which finds boxes; "
                "name a mask_model that cuts them out, such as facebook/sam-vit-base."
            )
        sam_config = load_config(mask_model, MASK_ROLE)
        if sam_config.model_type != "sam":
            raise SegmenterError(
                f"The {MASK_ROLE} {mask_model} is a {sam_config.model_type!r}; choose a 'sam', such as "
                "facebook/sam-vit-base."
            )
        return cls(
            load_model(AutoModelForZeroShotObjectDetection, source, DETECTOR_ROLE, device=device),
            load_processor(source, DETECTOR_ROLE, config),
            load_model(SamModel, mask_model, MASK_ROLE, device=device),
            load_processor(mask_model, MASK_ROLE, sam_config),
            box_threshold,
        )

    @torch.inference_mode()
    def look(self, rgb: NDArray[np.uint8]) -> LookedAt:
        """Embed one image, uint8 RGB ``[H, W, 3]``, for SAM."""
        image = Image.fromarray(rgb)
        inputs = on_device(self.sam_processor(images=[image], return_tensors="pt"), self.sam)
        embedding = self.sam.get_image_embeddings(inputs["pixel_values"])
        return LookedAt(image, embedding, inputs["original_sizes"].cpu(), inputs["reshaped_input_sizes"].cpu())

    @torch.inference_mode()
    def cut(self, looked: LookedAt, name: str) -> list[SegmentedObject]:
        """Return one object a box, best first."""
        scores, boxes = self._find(looked, name)
        if not len(scores):
            return []
        outputs = self.sam(
            image_embeddings=looked.embedding, input_boxes=self._resized(boxes, looked), multimask_output=False
        )
        masks = self.sam_processor.image_processor.post_process_masks(
            outputs.pred_masks.cpu(), looked.original_sizes, looked.resized_sizes
        )[0][:, 0]
        predicted_ious = outputs.iou_scores[0, :, 0].clamp(0.0, 1.0)
        found = [
            SegmentedObject(name, mask, box_of(mask), score * iou, seg_probability=score, predicted_iou=iou)
            for mask, score, iou in zip(masks.numpy(), scores.tolist(), predicted_ious.tolist(), strict=True)
            if mask.any()
        ]
        return sorted(found, key=lambda one: one.score, reverse=True)

    def _find(self, looked: LookedAt, name: str) -> tuple[Tensor, Tensor]:
        """Return scores ``[n]`` and boxes ``[n, 4]`` in pixels of the image."""
        prepared = self.detector_processor(images=[looked.image], text=[[name]], return_tensors="pt", truncation=True)
        outputs = self.detector(**on_device(prepared, self.detector))
        found = self.detector_processor.post_process_grounded_object_detection(
            outputs, threshold=self.box_threshold, target_sizes=[looked.image.size[::-1]]
        )[0]
        return found["scores"], found["boxes"]

    def _resized(self, boxes: Tensor, looked: LookedAt) -> Tensor:
        """Return boxes ``[1, n, 4]`` in pixels of the image as SAM sees it, without its padding."""
        height, width = (looked.resized_sizes[0] / looked.original_sizes[0]).tolist()
        return (boxes * boxes.new_tensor([width, height, width, height]))[None]
