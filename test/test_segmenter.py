from __future__ import annotations

import pytest

from lisa_ros import segmenter
from lisa_ros.scripted import ScriptedSegmenter
from lisa_ros.segmenter import SegmenterError, make_segmenter


def test_a_backend_is_made_by_name_with_its_options():
    made = make_segmenter("scripted", delay=0.5)
    assert isinstance(made, ScriptedSegmenter) and made.delay == 0.5


def test_an_unknown_backend_is_quoted_with_the_choices():
    with pytest.raises(SegmenterError, match=r"no backend 'oracle'; choose one of lisa, scripted, two_stage\.$"):
        make_segmenter("oracle")


def test_a_backend_whose_package_is_missing_names_it(monkeypatch):
    monkeypatch.setitem(segmenter.BACKENDS, "absent", "no_such_package.module:Network")
    with pytest.raises(SegmenterError, match=r"'absent' needs a package that is not installed: .*no_such_package"):
        make_segmenter("absent")
