"""The tabletop benchmark: requests about simulated frames, drawn by seed.

The id of a case is ``FRAME-N``: the six digits of its frame and the number of the request about it, from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial

import numpy as np

from lisa_ros.datasets.records import Mask
from lisa_ros.evaluation.cases import Case
from lisa_ros.simulation.frames import Frame, FrameError, FrameFolder
from lisa_ros.simulation.requests.bank import load_bank
from lisa_ros.simulation.requests.drawing import draw_requests
from lisa_ros.simulation.requests.sampling import RequestSplit, TabletopRequest


def tabletop_cases(frames: FrameFolder, split: RequestSplit, *, requests_per_frame: int, seed: int) -> Iterator[Case]:
    """Yield ``requests_per_frame`` cases about every frame, a pure function of the frames and ``seed``.

    Their group is the type of the request (``present``, ``absent`` or ``out_of_domain``), their kind the thing asked
    for and their sort the sort of its wording. Raises ``FrameError`` for a folder without frames or a damaged frame.
    """
    if not len(frames):
        raise FrameError(f"{frames.path} holds no finished frames; make some with `lisa simulate`.")
    # Frames are read again for the truth of their cases, one after the other.
    read = lru_cache(maxsize=1)(frames.__getitem__)
    for position, index in enumerate(frames.indices):
        rng = np.random.default_rng([seed, index])
        for number, request in enumerate(draw_requests(read(position), rng, requests_per_frame, split)):
            yield Case(
                id=f"{index:06d}-{number}",
                image_path=frames.path / "frames" / f"{index:06d}.jpg",
                text=request.text,
                request=request.text,
                truth=partial(_truth, read, position, request),
                group=request.request_type.value,
                kind=request.kind,
                sort=request.sort,
                names=names_of(request.kind),
            )


def _truth(read: Callable[[int], Frame], position: int, request: TabletopRequest) -> Mask:
    return np.isin(read(position).instance_ids, list(request.target_ids)).astype(np.uint8)


def names_of(kind: str) -> tuple[str, ...]:
    """Return what an answer may call a kind, in the singular and the plural; nothing is right for no kind."""
    if not kind:
        return ()
    names = load_bank().kinds[kind]
    return (names.name, names.plural)
