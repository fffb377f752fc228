"""From a frame to requests about it: which kinds can be asked for, and a file of requests beside the frames."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lisa_ros.simulation.frames import Frame, FrameFolder
from lisa_ros.simulation.requests.sampling import (
    DEFAULT_SHARES,
    RequestSplit,
    Shares,
    TabletopRequest,
    sample_requests,
)

REQUESTS_FILE = "requests.json"
ABSENT_EVERY = 5
"""Of so many frames, one is also asked about something that is not there."""
SMALLEST_SHARE = 150 / (640 * 480)
"""Share of the image below which an object is too small to be asked for."""
PRESENT_ONLY, ABSENT_ONLY = Shares(absent=0.0, out_of_domain=0.0), Shares(absent=0.7, out_of_domain=0.3)


def kinds_in_view(kinds: Sequence[str], areas: Sequence[int], smallest: float) -> tuple[dict[str, list[int]], set[str]]:
    """Return the kinds that can be asked for with their instance ids, and the kinds of which too little is seen.

    ``kinds[i]`` and ``areas[i]``, in pixels, are of instance ``i + 1``. A kind can be asked for when one instance of it
    has ``smallest`` pixels; its instances are all that have a pixel in the image.
    """
    seen: dict[str, list[int]] = {}
    for index, (kind, area) in enumerate(zip(kinds, areas, strict=True)):
        if area > 0:
            seen.setdefault(kind, []).append(index)
    hardly = {kind for kind, members in seen.items() if max(areas[index] for index in members) < smallest}
    return {kind: [index + 1 for index in seen[kind]] for kind in seen if kind not in hardly}, hardly


def draw_requests(
    frame: Frame, rng: np.random.Generator, count: int, split: RequestSplit, shares: Shares = DEFAULT_SHARES
) -> list[TabletopRequest]:
    """Draw ``count`` requests about a whole frame."""
    kinds, areas = [placed.kind for placed in frame.objects], [placed.visible_pixels for placed in frame.objects]
    in_view, hardly = kinds_in_view(kinds, areas, SMALLEST_SHARE * frame.rgb.shape[0] * frame.rgb.shape[1])
    return sample_requests(in_view, rng, count, split, shares, hardly_visible=hardly)


def write_requests(folder: FrameFolder, split: RequestSplit, seed: int) -> Path:
    """Write ``requests.json`` beside the frames: an implicit request a frame, and some about absent things.

    Implicit means that the request does not call the thing by its name. A pure function of the frames and ``seed``.
    """
    entries = []
    for position, index in enumerate(folder.indices):
        rng, frame = np.random.default_rng([seed, index]), folder[position]
        wanted = [_implicit(frame, rng, split, PRESENT_ONLY)]
        if position % ABSENT_EVERY == ABSENT_EVERY - 1:
            wanted.append(_implicit(frame, rng, split, ABSENT_ONLY))
        entries += [_entry(index, request) for request in wanted]
    path = folder.path / REQUESTS_FILE
    path.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    return path


def _implicit(frame: Frame, rng: np.random.Generator, split: RequestSplit, shares: Shares) -> TabletopRequest:
    while True:
        request = draw_requests(frame, rng, 1, split, shares)[0]
        if request.sort != "name":
            return request


def _entry(index: int, request: TabletopRequest) -> dict[str, object]:
    return {
        "frame": index,
        "text": request.text,
        "kind": request.kind,
        "target_ids": list(request.target_ids),
        "request_type": request.request_type.value,
    }
