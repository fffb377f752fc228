"""The simulated tabletop as one more source of samples, beside the data sets of photographs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lisa_ros.answers import Turn
from lisa_ros.datasets.records import ItemError
from lisa_ros.simulation.frames import Frame, FrameError, FrameFolder
from lisa_ros.simulation.requests.drawing import SMALLEST_SHARE, kinds_in_view
from lisa_ros.simulation.requests.replies import BARE_MASK_ANSWER
from lisa_ros.simulation.requests.sampling import RequestSplit, TabletopRequest, sample_requests
from lisa_ros.training.samples import TrainingSample


class TabletopSource:
    """Frames that `lisa simulate` made, with requests in training wordings, each in a conversation of its own.

    What is asked for and absent is answered without a mask, with the bank's ``[REJ]``. A share of ``bare_mask_share``
    of the other answers is a mask without words; a share of ``typing_noise`` of the requests has a typing slip.
    """

    def __init__(
        self,
        frames: FrameFolder,
        *,
        requests_per_frame: int = 3,
        bare_mask_share: float = 0.12,
        typing_noise: float = 0.1,
    ) -> None:
        self.frames, self.requests_per_frame = frames, requests_per_frame
        self.bare_mask_share, self.typing_noise = bare_mask_share, typing_noise
        self.name = f"tabletop {frames.path}"

    def __len__(self) -> int:
        return len(self.frames)

    def sample(self, index: int, rng: np.random.Generator) -> TrainingSample:
        """Draw requests about one frame; raises ``ItemError`` for a damaged one or one with an unknown object."""
        try:
            frame = self.frames[index]
            requests = self._requests(frame, rng)
        except (FrameError, ValueError) as error:
            raise ItemError(f"{self._place(index)} cannot be used: {error}") from error
        targets = [np.isin(frame.instance_ids, request.target_ids) for request in requests if request.target_ids]
        return TrainingSample(
            rgb=frame.rgb,
            conversations=tuple((Turn(request.text, self._answer(request, rng)),) for request in requests),
            masks=_stacked(targets, frame),
            source=self._place(index),
        )

    def _place(self, index: int) -> str:
        return f"{self.name}, frame {self.frames.indices[index]}"

    def _requests(self, frame: Frame, rng: np.random.Generator) -> list[TabletopRequest]:
        smallest = SMALLEST_SHARE * frame.instance_ids.size
        in_view, hardly_visible = kinds_in_view(
            [placed.kind for placed in frame.objects], [placed.visible_pixels for placed in frame.objects], smallest
        )
        return sample_requests(
            in_view,
            rng,
            self.requests_per_frame,
            RequestSplit.TRAIN,
            hardly_visible=hardly_visible,
            typing_noise=self.typing_noise,
        )

    def _answer(self, request: TabletopRequest, rng: np.random.Generator) -> str:
        is_bare = bool(request.target_ids) and rng.random() < self.bare_mask_share
        return BARE_MASK_ANSWER if is_bare else request.answer


def _stacked(masks: list[NDArray[np.bool_]], frame: Frame) -> NDArray[np.bool_]:
    return np.stack(masks) if masks else np.zeros((0, *frame.instance_ids.shape), np.bool_)
