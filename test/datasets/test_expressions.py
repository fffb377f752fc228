from __future__ import annotations

import os
import pickle
import pickletools

import pytest

from lisa_ros.datasets.expressions import read_expressions
from lisa_ros.datasets.records import DatasetError

from .conftest import as_bytes, expression, python2_pickle, write_json

ENTRIES = [
    expression(3, 581857, 1719310, "train", "the lady with the Blue shirt ", "lady"),
    expression(4, 581857, 7, "testA", "man"),
]


class Payload:
    """What runs a command when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def write_pickle(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "data",
    [
        python2_pickle(as_bytes(ENTRIES)),
        python2_pickle(ENTRIES),
        pickle.dumps(ENTRIES, 0),
        pickle.dumps(ENTRIES, 2),
        pickle.dumps(ENTRIES),
    ],
    ids=["byte strings of Python 2", "unicode of Python 2", "protocol 0", "protocol 2", "newest protocol"],
)
def test_pickles_of_every_age_are_read(tmp_path, data):
    first, second = read_expressions(write_pickle(tmp_path / "refs(unc).p", data))
    assert first.texts == ("the lady with the blue shirt", "lady")
    assert (first.identifier, first.image, first.annotations, first.split) == (3, 581857, (1719310,), "train")
    assert second.split == "testA"


def test_the_pickle_of_python_2_is_a_real_one():
    opcodes = {opcode.name for opcode, _, _ in pickletools.genops(python2_pickle(as_bytes(ENTRIES)))}
    assert "SHORT_BINSTRING" in opcodes and "BINUNICODE" not in opcodes


@pytest.mark.parametrize("encoded", ["café".encode(), "café".encode("latin-1")])
def test_byte_strings_beyond_ascii_are_text(tmp_path, encoded):
    entries = as_bytes(ENTRIES)
    entries[0][b"sentences"][0][b"sent"] = encoded
    assert read_expressions(write_pickle(tmp_path / "refs(unc).p", python2_pickle(entries)))[0].texts[0] == "café"


def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(tmp_path):
    victim = tmp_path / "victim"
    data = pickle.dumps([*ENTRIES, Payload(f"touch '{victim}'")])
    with pytest.raises(DatasetError, match=r"refs\(unc\)\.p is no pickle of plain values \(it asks for posix\.system"):
        read_expressions(write_pickle(tmp_path / "refs(unc).p", data))
    assert not victim.exists()
    pickle.loads(data)
    assert victim.exists(), "the payload works, so it was the reader that stopped it"


@pytest.mark.parametrize("data", [b"", b"no pickle", pickle.dumps(ENTRIES)[:-30], pickle.dumps([b"bytes"])])
def test_damaged_pickles_are_refused(tmp_path, data):
    with pytest.raises(DatasetError, match=r"refs\(unc\)\.p is no pickle of plain values .*copy it again"):
        read_expressions(write_pickle(tmp_path / "refs(unc).p", data))


def test_a_pickle_that_unfolds_without_end_fails_in_its_own_process(tmp_path):
    nested = ["x" * 2_000_000]
    for _ in range(30):
        nested = [nested, nested]
    with pytest.raises(DatasetError, match="MemoryError"):
        read_expressions(write_pickle(tmp_path / "refs(unc).p", pickle.dumps(nested)))


def test_one_thing_several_and_none_are_told_apart(tmp_path):
    entries = [expression(index, 5, target, "val", "it") for index, target in enumerate([3, [3], [3, 4], [-1], "5_1"])]
    path = write_json(tmp_path / "grefs(unc).json", entries)
    assert [entry.annotations for entry in read_expressions(path)] == [(3,), (3,), (3, 4), (), ("5_1",)]


def test_sentences_without_words_are_left_out_and_counted(tmp_path, caplog):
    entries = [expression(0, 5, 3, "val", "cup", " ", ""), expression(1, 5, 3, "val", "")]
    found = read_expressions(write_json(tmp_path / "grefs(unc).json", entries))
    assert [entry.texts for entry in found] == [("cup",)]
    assert "3 sentences without words are left out" in caplog.text


@pytest.mark.parametrize("key", ["ref_id", "image_id", "ann_id", "split", "sentences"])
@pytest.mark.parametrize("damage", ["missing", "wrong"])
def test_missing_keys_and_wrong_types_are_named(tmp_path, key, damage):
    entries = [expression(0, 5, 3, "val", "cup"), expression(1, 5, 3, "val", "cup")]
    if damage == "missing":
        del entries[1][key]
    else:
        entries[1][key] = None
    with pytest.raises(DatasetError, match=r"grefs\(unc\)\.json: .*entry 1.*copy it again"):
        read_expressions(write_json(tmp_path / "grefs(unc).json", entries))


@pytest.mark.parametrize("target", [[], [[3]], [True], [3.5]])
def test_malformed_targets_are_refused(tmp_path, target):
    path = write_json(tmp_path / "grefs(unc).json", [expression(0, 5, target, "val", "cup")])
    with pytest.raises(DatasetError, match="'ann_id' of entry 0 is .* where one id or several are needed"):
        read_expressions(path)


def test_something_else_than_a_list_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="holds no list of expressions"):
        read_expressions(write_pickle(tmp_path / "refs(unc).p", pickle.dumps({"refs": []})))
    with pytest.raises(DatasetError, match=r"refs\(google\)\.p is missing"):
        read_expressions(tmp_path / "refs(google).p")
