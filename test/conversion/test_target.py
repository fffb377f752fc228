from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest

from lisa_ros.conversion.errors import ConversionError
from lisa_ros.conversion.target import JOURNAL_FILE, TargetFolder

from .conftest import flip_last_bit

IDENTITY = {"sources": [["LISA", "pytorch_model.bin", "00"]], "begun": {}, "shard_size": "1GB"}


def no_one(count):
    """Who hears of the bytes that were read."""


def finished(folder, **files):
    """Begin a conversion that finishes some files and ends without an end."""
    target = TargetFolder(folder)
    with target.opened(IDENTITY):
        for name, content in files.items():
            target.finish(target.write_text(name, content))
    return folder / JOURNAL_FILE


def kept(folder, *names):
    target = TargetFolder(folder)
    with target.opened(IDENTITY):
        return [name for name in names if target.kept(name, no_one) is not None]


def test_finished_files_are_kept_if_they_are_as_they_were(tmp_path):
    finished(tmp_path, a="one", b="two", c="three", d="four")
    (tmp_path / "b").write_text("owt")
    (tmp_path / "c").unlink()
    (tmp_path / "d").write_text("four and more")
    assert kept(tmp_path, "a", "b", "c", "d", "e") == ["a"]


def test_a_note_that_a_kill_cut_off_does_not_count_and_hides_no_later_one(tmp_path):
    journal = finished(tmp_path, a="one", b="two")
    journal.write_text(journal.read_text().rstrip()[:-9])
    assert kept(tmp_path, "a", "b") == ["a"]
    finished(tmp_path, b="two")
    assert kept(tmp_path, "a", "b") == ["a", "b"]


def test_a_kill_while_the_first_note_was_written_is_a_new_beginning(tmp_path):
    (tmp_path / JOURNAL_FILE).write_text('\n{"sources": [[')
    finished(tmp_path, a="one")
    assert kept(tmp_path, "a") == ["a"]


def test_an_unfinished_conversion_of_something_else_is_left_alone(tmp_path):
    finished(tmp_path, a="one")
    for other in (IDENTITY | {"shard_size": "2GB"}, IDENTITY | {"sources": []}):
        with (
            pytest.raises(ConversionError, match="unfinished conversion of another source or with other options"),
            TargetFolder(tmp_path).opened(other),
        ):
            raise AssertionError("opened")
    assert kept(tmp_path, "a") == ["a"]


def test_two_conversions_never_write_into_one_folder(tmp_path):
    with (
        TargetFolder(tmp_path).opened(IDENTITY),
        pytest.raises(ConversionError, match=f"Another conversion is writing into {tmp_path}; wait for its end"),
        TargetFolder(tmp_path).opened(IDENTITY),
    ):
        raise AssertionError("opened")


def test_only_a_new_an_empty_or_a_converted_folder_is_usable(tmp_path):
    TargetFolder(tmp_path / "new").require_usable()
    TargetFolder(tmp_path).require_usable()
    finished(tmp_path / "unfinished")
    TargetFolder(tmp_path / "unfinished").require_usable()
    with pytest.raises(ConversionError, match="is not empty and holds no conversion; give a folder"):
        TargetFolder(tmp_path).require_usable()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConversionError, match="file is a file; give a folder that is new or empty"):
        TargetFolder(tmp_path / "file").require_usable()


@pytest.fixture
def sources(converted):
    return json.loads((converted / "provenance.json").read_text())["sources"]


def test_a_finished_conversion_is_of_its_source_alone(converted, sources):
    target = TargetFolder(converted)
    assert target.is_finished and not target.is_unfinished
    target.require_usable()
    target.require_same(sources, {}, no_one)
    sources[0]["name"] = "the same from elsewhere"
    target.require_same(sources, {}, no_one)
    with pytest.raises(ConversionError, match="holds a conversion of something else; give another target"):
        target.require_same(sources, {"seed": 1}, no_one)
    sources[0]["files"][0]["sha256"] = "0" * 64
    with pytest.raises(ConversionError, match="holds a conversion of something else; give another target"):
        target.require_same(sources, {}, no_one)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.model", "config.json"])
def test_a_finished_conversion_that_was_changed_afterwards_is_told(converted, sources, name):
    flip_last_bit(converted / name)
    with pytest.raises(ConversionError, match=f"but {name} is missing or damaged; delete the folder and convert again"):
        TargetFolder(converted).require_same(sources, {}, no_one)


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=3_000_000_000))
    TargetFolder(tmp_path / "a" / "b").require_space(2_900_000_000)
    with pytest.raises(ConversionError, match=r"has 3\.0 GB free and the conversion needs 15\.9 GB; make room"):
        TargetFolder(tmp_path / "a" / "b").require_space(15_900_000_000)


def test_what_only_an_unfinished_conversion_needs_is_removed_at_the_end(tmp_path):
    finished(tmp_path, a="one")
    (tmp_path / "b.part").write_text("half")
    TargetFolder(tmp_path).close()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
