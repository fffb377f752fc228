from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lisa_ros.node.demo.cases import read_cases
from lisa_ros.node.demo.errors import DemoError
from lisa_ros.simulation.frames import FrameFolder


def test_requests_name_frames_by_index_and_targets_by_instance(frames: Path) -> None:
    folder = FrameFolder(frames)
    cases = read_cases(folder)
    assert [case.position for case in cases] == [0, 1, 1, 0]
    assert [case.has_target for case in cases] == [True, True, True, False]
    truth = cases[2].truth(folder[1])
    assert truth.shape == (60, 36) and np.count_nonzero(truth) == 100 and truth[:10, :10].all()
    assert not cases[3].truth(folder[0]).any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frame": 4}, "no frame 4"),
        ({"target_ids": []}, "the middle"),
        ({"request_type": "perhaps"}, "perhaps"),
        (None, "cannot be read"),
    ],
)
def test_requests_that_do_not_fit_give_one_sentence(frames: Path, change: dict[str, object] | None, words: str) -> None:
    path = frames / "requests.json"
    if change is None:
        path.unlink()
    else:
        path.write_text(json.dumps([{**json.loads(path.read_text())[0], **change}]))
    with pytest.raises(DemoError, match=words):
        read_cases(FrameFolder(frames))
