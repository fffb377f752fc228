from __future__ import annotations

import numpy as np

from lisa_ros.answers import Answer, SegmentedObject, Verdict
from lisa_ros.doctor import sample as module
from lisa_ros.doctor.sample import sample


def test_the_bundled_frame_has_a_request_and_its_true_mask():
    asked = sample()
    assert asked.rgb.dtype == np.uint8 and asked.rgb.ndim == 3 and asked.request.text
    assert asked.truth is not None and asked.truth.shape == asked.rgb.shape[:2] and 0 < asked.truth.sum() < 1e5
    perfect = SegmentedObject("it", asked.truth, (0, 0, 0, 0), 1.0)
    assert asked.iou(Answer(Verdict.FOUND, "", (perfect,))) == 1.0
    assert asked.iou(Answer(Verdict.NOT_PRESENT, "")) == 0.0


def test_without_the_bundled_frames_a_picture_is_made_up(monkeypatch, tmp_path):
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    monkeypatch.setattr(module, "__file__", str(tmp_path / "lisa_ros" / "doctor" / "sample.py"))
    asked = sample()
    assert asked.rgb.shape == (240, 320, 3) and asked.truth is None
    assert asked.iou(Answer(Verdict.FOUND, "")) is None
