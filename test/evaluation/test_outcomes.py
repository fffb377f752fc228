from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from lisa_ros.evaluation.cases import EvaluationError
from lisa_ros.evaluation.outcomes import (
    Outcome,
    Rows,
    Run,
    as_row,
    decode_mask,
    encode_mask,
    from_row,
    read_rows,
)

RUN = Run("reasonseg", "val", "dataset", "free", "lisa", "lisa", "max_new_tokens=64", 0)
MASK = np.random.default_rng(2).random((9, 14)) > 0.5


def outcome(id="a", **changes):
    made = Outcome(
        id=id, image="a.jpg", text="it", request="What is it?", group="short", kind="", sort="", verdict="found",
        words="It is \u201cit\u201d.\n", error="", label="", right_object=None, masks=1, intersection=3, union=4,
        target_pixels=4, mask_pixels=3, score=0.5, milliseconds=None, mask=encode_mask(MASK),
    )  # fmt: skip
    return replace(made, **changes)


def test_a_mask_is_a_png_that_any_reader_reads():
    assert (decode_mask(encode_mask(MASK)) == MASK).all()
    pixels = cv2.imdecode(np.frombuffer(encode_mask(MASK), np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels.ndim == 2 and set(np.unique(pixels)) == {0, 255}
    assert not decode_mask(encode_mask(np.zeros((3, 3), bool))).any()


def test_a_row_is_plain_values_and_gives_the_outcome_back():
    row = json.loads(json.dumps(as_row(outcome(), RUN), allow_nan=False))
    assert row["iou"] == pytest.approx(0.75, abs=1e-5) and row["run"]["mode"] == "free"
    assert from_row(row) == (outcome(), RUN)


def test_rows_are_on_disk_as_soon_as_they_are_known_and_no_run_begins_anew_over_them(tmp_path):
    path = tmp_path / "new" / "rows.jsonl"
    rows = Rows(path, RUN, resume=False)
    for id in "ab":
        rows.append(outcome(id))
        assert [found.id for found, _ in read_rows(path)][-1] == id
    with pytest.raises(EvaluationError, match="holds rows already; add --resume"):
        Rows(path, RUN, resume=False)
    assert len(list(read_rows(path))) == 2


def test_a_run_goes_on_after_the_last_whole_row(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = Rows(path, RUN, resume=True)
    for id in "ab":
        rows.append(outcome(id))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])
    resumed = Rows(path, RUN, resume=True)
    assert list(resumed.done) == ["a", "b"] and path.read_bytes() == whole
    resumed.append(outcome("c"))
    assert [found.id for found, _ in read_rows(path)] == ["a", "b", "c"]


def test_rows_of_another_run_are_not_gone_on_with(tmp_path):
    path = tmp_path / "rows.jsonl"
    Rows(path, RUN, resume=False).append(outcome())
    other = replace(RUN, mode="forced", seed=3)
    with pytest.raises(EvaluationError, match="mode 'free', not 'forced', seed 0, not 3"):
        Rows(path, other, resume=True)
    assert len(list(read_rows(path))) == 1


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "a"}', "7"])
def test_what_is_no_row_is_named_by_its_line(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(as_row(outcome(), RUN)) + f"\n{line}\n")
    with pytest.raises(EvaluationError, match="Line 2 of .*rows.jsonl is not a row"):
        list(read_rows(path))


def test_rows_that_are_not_there_are_one_sentence(tmp_path):
    with pytest.raises(EvaluationError, match="none.jsonl cannot be read"):
        list(read_rows(tmp_path / "none.jsonl"))


def test_without_a_path_nothing_is_kept():
    Rows(None, RUN, resume=False).append(outcome())
