from __future__ import annotations

import pytest

from lisa_ros import model_folder
from lisa_ros.model_folder import EMBEDDED, find_model
from lisa_ros.segmenter import SegmenterError


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """An installation without a checkpoint: neither in the share folder nor next to the source."""
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "install"))
    monkeypatch.setattr(model_folder, "__file__", str(tmp_path / "source" / "lisa_ros" / "model_folder.py"))
    return tmp_path


def test_empty_means_the_embedded_checkpoint_installed_before_the_one_next_to_the_source(bare):
    source, share = bare / "source" / EMBEDDED, bare / "install" / "share" / "lisa_ros" / EMBEDDED
    source.mkdir(parents=True)
    assert find_model("") == str(source)
    share.mkdir(parents=True)
    assert find_model("") == str(share)


def test_a_missing_embedded_checkpoint_is_one_sentence_with_the_remedy(bare):
    with pytest.raises(SegmenterError, match=r"lisa-tabletop is missing .* set the parameter model"):
        find_model("")


def test_an_existing_folder_is_taken_with_the_home_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "weights").mkdir()
    assert find_model(str(tmp_path / "weights")) == find_model("~/weights") == str(tmp_path / "weights")


@pytest.mark.parametrize("missing", ["/missing", "/no/such", "~/no_such", "./no_such", "no/such/folder", "no_such"])
def test_a_missing_folder_is_quoted(missing):
    with pytest.raises(SegmenterError, match=missing):
        find_model(missing)


def test_an_id_is_left_to_the_backend():
    assert find_model("xinlai/LISA-7B-v1") == "xinlai/LISA-7B-v1"
