from __future__ import annotations

import json

import pytest

from lisa_ros.cli import main
from lisa_ros.evaluation.tabletop import summary
from lisa_ros.segmenter import BACKENDS
from lisa_ros.simulation.frames import DatasetInfo, start_folder


@pytest.fixture
def evaluate(monkeypatch, capsys):
    """Run ``lisa eval tabletop`` with the scripted backend; returns exit code, printed lines and complaint."""
    monkeypatch.setitem(BACKENDS, "lisa", BACKENDS["scripted"])

    def evaluate(*words):
        code = main(["eval", "tabletop", "--model", "anything", *map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err

    return evaluate


def test_the_last_line_is_one_json_object_with_the_figures(evaluate, frames):
    code, lines, _ = evaluate("--frames", frames.path, "--requests-per-frame", 6, "--seed", 3, "--mode", "forced")
    assert code == 0
    figures = json.loads(lines[-1])
    assert (figures["requests"], figures["split"], figures["mode"], figures["seed"]) == (18, "train", "forced", "3")
    assert figures["frames"] == str(frames.path) and 0.0 < figures["gIoU"] < 1.0
    kinds = [line.split()[0] for line in lines[:-1]]
    assert kinds == sorted(kinds) and set(kinds) == {"banana", "cup", "knife"}
    assert set(summary([])) <= set(figures)


def test_rows_hold_every_outcome(evaluate, frames, tmp_path):
    _, lines, _ = evaluate(
        "--frames", frames.path, "--rows", tmp_path / "new" / "rows.jsonl", "--split", "new_meanings"
    )
    rows = [json.loads(line) for line in (tmp_path / "new" / "rows.jsonl").read_text().splitlines()]
    figures = json.loads(lines[-1])
    assert len(rows) == figures["requests"] == 9
    present = [row["iou"] for row in rows if row["request_type"] == "present"]
    assert figures["gIoU"] == pytest.approx(sum(present) / len(present), abs=1e-3)


def test_equal_seeds_give_equal_outcomes(evaluate, frames):
    first, second, other = (evaluate("--frames", frames.path, "--seed", seed)[1] for seed in (1, 1, 2))
    assert first == second != other


def complaint(result):
    code, lines, err = result
    assert code == 1 and lines == []
    (line,) = [line for line in err.splitlines() if line.startswith("lisa eval: ")]
    return line


def test_frames_that_are_missing_are_one_sentence_and_exit_1(evaluate, tmp_path):
    assert "nowhere/dataset.json cannot be read" in complaint(evaluate("--frames", tmp_path / "nowhere"))
    start_folder(tmp_path / "empty", DatasetInfo(1, "test", 80, 60))
    assert "empty holds no finished frames" in complaint(evaluate("--frames", tmp_path / "empty"))


def test_a_damaged_frame_is_one_sentence_and_exit_1(evaluate, frames):
    (frames.path / "frames" / "000005.jpg").write_bytes(b"not a picture")
    assert "000005.jpg is corrupt" in complaint(evaluate("--frames", frames.path))


def test_a_missing_model_is_one_sentence_and_exit_1(frames, tmp_path, capsys):
    assert main(["eval", "tabletop", "--model", str(tmp_path / "none"), "--frames", str(frames.path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lisa eval: ") and "none does not exist" in line


def test_a_split_that_does_not_exist_is_a_usage_error(frames, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["eval", "tabletop", "--model", "x", "--frames", str(frames.path), "--split", "tomorrow"])
    assert caught.value.code == 2 and "new_templates" in capsys.readouterr().err
