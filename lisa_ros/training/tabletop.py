"""The tabletop as a training set: augmented frames with requests, answers and masks, and with dense labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from lisa_ros.model.configuration import PyramidConfig
from lisa_ros.model.image_processing import PYRAMID_MEAN, PYRAMID_STD
from lisa_ros.simulation.frames import Frame, FrameFolder
from lisa_ros.simulation.kinds import KINDS
from lisa_ros.simulation.requests.drawing import kinds_in_view
from lisa_ros.simulation.requests.replies import BARE_MASK_ANSWER
from lisa_ros.simulation.requests.sampling import RequestSplit, TabletopRequest, sample_requests
from lisa_ros.training.augmentation import AugmentationConfig, augmented

KIND_INDEX = {kind.identifier: index + 1 for index, kind in enumerate(KINDS)}
NUM_KINDS = len(KIND_INDEX) + 1
"""Kinds and the background, which is 0."""
MASK_STRIDE = 2
CELL = 32


@dataclass(slots=True)
class TargetRequest:
    """One request about a frame: the answer's text, the index of its kind, and its mask, float ``[H / 2, W / 2]``.

    ``kind`` is 0 out of domain. ``mask`` is ``None`` without a target, and for targets whose words alone are trained.
    """

    text: str
    answer: str
    kind: int
    mask: Tensor | None


@dataclass(slots=True)
class TabletopSample:
    """One augmented frame.

    ``pixel_values`` ``[3, H, W]``; ``kinds`` ``[H / 4, W / 4]`` with a kind index a pixel; ``presence``
    ``[N, NUM_KINDS]`` in {0, 1} for each cell of the visual tokens.
    """

    pixel_values: Tensor
    kinds: Tensor
    presence: Tensor
    requests: list[TargetRequest]


class TabletopDataset(Dataset[TabletopSample]):
    """Frames of one or several folders; item ``i`` of epoch ``e`` is a pure function of ``(seed, e, i)``."""

    def __init__(
        self,
        folders: list[FrameFolder],
        vision: PyramidConfig,
        augmentation: AugmentationConfig,
        *,
        requests_per_frame: int,
        masks_per_frame: int,
        smallest_target: int,
        bare_mask_share: float,
        typing_noise: float,
        seed: int,
    ) -> None:
        self.folders = folders
        self.vision = vision
        self.augmentation = augmentation
        self.requests_per_frame = requests_per_frame
        self.masks_per_frame = masks_per_frame
        self.smallest_target = smallest_target
        self.bare_mask_share = bare_mask_share
        self.typing_noise = typing_noise
        self.seed = seed
        self.ends = np.cumsum([len(folder) for folder in folders])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, position: int) -> TabletopSample:
        """Return the sample of a running position; positions beyond the length are later epochs."""
        epoch, index = divmod(position, len(self))
        rng = np.random.default_rng([self.seed, epoch, index])
        frame = self._frame(int(np.random.default_rng([self.seed, epoch]).permutation(len(self))[index]))
        rgb, instance_ids = augmented(frame.rgb, frame.instance_ids, self.vision.image_size, self.augmentation, rng)
        kind_map = kinds_of_pixels(frame, instance_ids)
        requests = self._requests(frame, instance_ids, rng) if self.requests_per_frame else []
        return TabletopSample(
            normalised(rgb), torch.from_numpy(kind_map[2::4, 2::4].astype(np.int64)), presence(kind_map), requests
        )

    def _frame(self, index: int) -> Frame:
        folder = int(np.searchsorted(self.ends, index, side="right"))
        return self.folders[folder][index - (int(self.ends[folder - 1]) if folder else 0)]

    def _requests(self, frame: Frame, instance_ids: NDArray[np.uint8], rng: np.random.Generator) -> list[TargetRequest]:
        kinds, areas = [placed.kind for placed in frame.objects], np.bincount(instance_ids.reshape(-1), minlength=256)
        in_view, unclear = kinds_in_view(kinds, areas[1 : len(kinds) + 1].tolist(), self.smallest_target)
        sampled = sample_requests(
            in_view,
            rng,
            self.requests_per_frame,
            RequestSplit.TRAIN,
            hardly_visible=unclear,
            typing_noise=self.typing_noise,
        )
        targets = [self._target(request, rng) for request in sampled]
        present = [index for index, request in enumerate(sampled) if request.target_ids]
        for index in present[: self.masks_per_frame]:
            targets[index].mask = target_mask(instance_ids, sampled[index].target_ids)
        return targets

    def _target(self, request: TabletopRequest, rng: np.random.Generator) -> TargetRequest:
        bare = bool(request.target_ids) and rng.random() < self.bare_mask_share
        answer = BARE_MASK_ANSWER if bare else request.answer
        return TargetRequest(request.text, answer, KIND_INDEX.get(request.kind, 0), None)


def kinds_of_pixels(frame: Frame, instance_ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the kind index of every pixel, 0 for the background."""
    table = np.zeros(256, np.uint8)
    for instance_id, placed in enumerate(frame.objects, start=1):
        table[instance_id] = KIND_INDEX[placed.kind]
    return table[instance_ids]


def presence(kind_map: NDArray[np.uint8]) -> Tensor:
    """Return which kinds every ``CELL`` x ``CELL`` cell holds, float ``[N, NUM_KINDS]``."""
    rows, columns = kind_map.shape[0] // CELL, kind_map.shape[1] // CELL
    cells = kind_map.reshape(rows, CELL, columns, CELL).swapaxes(1, 2).reshape(rows * columns, CELL * CELL)
    result = np.zeros((len(cells), NUM_KINDS), np.float32)
    np.put_along_axis(result, cells.astype(np.int64), 1.0, axis=1)
    return torch.from_numpy(result)


def target_mask(instance_ids: NDArray[np.uint8], target_ids: tuple[int, ...] | list[int]) -> Tensor:
    """Return the share of target pixels in every ``MASK_STRIDE`` block, float ``[H / 2, W / 2]``."""
    mask = np.isin(instance_ids, list(target_ids)).astype(np.float32)
    rows, columns = mask.shape[0] // MASK_STRIDE, mask.shape[1] // MASK_STRIDE
    return torch.from_numpy(mask.reshape(rows, MASK_STRIDE, columns, MASK_STRIDE).mean(axis=(1, 3)))


def stacked_pixels(samples: list[TabletopSample]) -> Tensor:
    """Return the pixel values ``[B, 3, H, W]`` of a batch, in the memory format that convolutions are fastest with."""
    pixel_values = torch.stack([sample.pixel_values for sample in samples])
    return pixel_values.contiguous(memory_format=torch.channels_last)


def normalised(rgb: NDArray[np.uint8]) -> Tensor:
    """Return the pixel values ``[3, H, W]`` of an image that has the input's size already."""
    pixels = torch.from_numpy(rgb).permute(2, 0, 1).float()
    return (pixels - torch.tensor(PYRAMID_MEAN)[:, None, None]) / torch.tensor(PYRAMID_STD)[:, None, None]
