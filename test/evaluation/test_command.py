"""``lisa eval`` as a whole on small made-up data sets, with the scripted backend: a rectangle in the middle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lisa_ros.cli import main
from lisa_ros.evaluation.summary import summary
from lisa_ros.simulation.frames import DatasetInfo, start_folder

ROOT = Path(__file__).parents[2]


def test_reasonseg_figures_are_those_of_a_scorer_that_counts_pixel_by_pixel(figures, reasonseg, drawn):
    found = figures("reasonseg", "--data", reasonseg)
    scored = independent_scores(*drawn)
    assert found["requests"] == len(scored) == 6 and found["present"] == 6
    for group, names in {"": scored, "short": "adf", "long": "bce"}.items():
        counts = [pair for name, pair in scored.items() if not group or name[0] in names]
        part = found["groups"][group] if group else found
        ratios = [inside / (either + 1e-5) for inside, either in counts]
        assert part["requests"] == len(counts)
        assert part["gIoU"] == pytest.approx(sum(ratios) / len(ratios), abs=1e-6)
        total = sum(inside for inside, _ in counts) / (sum(either for _, either in counts) + 1e-10)
        assert part["cIoU"] == pytest.approx(total, abs=1e-6)
        assert part["gIoU_interval"][0] <= part["gIoU"] <= part["gIoU_interval"][1]


def independent_scores(items, tall, wide):
    """Intersection and union of every usable item, painted and counted pixel by pixel."""
    scored = {}
    for name, (texts, _, shapes) in items.items():
        if name in ("g_no_polygon", "h_no_picture"):
            continue
        truth = [[0] * wide for _ in range(tall)]
        by_area = sorted(shapes, key=lambda shape: -(shape[1][2] - shape[1][0] + 1) * (shape[1][3] - shape[1][1] + 1))
        for label, (left, top, right, bottom) in by_area:
            for y in range(top, bottom + 1):
                for x in range(left, right + 1):
                    if label != "flag":
                        truth[y][x] = 255 if "ignore" in label.lower() else 1
        gives_mask = not any(word in texts[0] for word in ("unicorn", "hello"))
        inside = either = 0
        for y in range(tall):
            for x in range(wide):
                answer = gives_mask and tall // 3 <= y < 2 * tall // 3 and wide // 3 <= x < 2 * wide // 3
                inside += truth[y][x] == 1 and answer
                either += truth[y][x] != 255 and (truth[y][x] == 1 or answer)
        scored[name] = (inside, either)
    return scored


def test_what_cannot_be_used_is_counted_and_named(figures, reasonseg):
    found = figures("reasonseg", "--data", reasonseg)
    assert found["skipped"] == len(found["skipped_items"]) == 2
    reasons = " ".join(item["reason"] for item in found["skipped_items"])
    assert "g_no_polygon.json" in reasons and "h_no_picture.jpg" in reasons


def test_answers_without_a_mask_are_counted_and_scored_as_empty(figures, reasonseg):
    found = figures("reasonseg", "--data", reasonseg)
    assert (found["no_mask"], found["failed"]) == (2, 0)
    assert found["target_accuracy"] == pytest.approx(4 / 6, abs=1e-6) and found["no_target_accuracy"] is None


def test_the_line_says_what_was_run_without_the_machine(figures, reasonseg, tmp_path):
    found = figures("reasonseg", "--data", reasonseg, "--mode", "forced", "--limit", 3, "--seed", 7)
    assert [found[name] for name in ("benchmark", "split", "mode", "model", "seed", "limit", "requests")] == [
        "reasonseg", "val", "forced", "scripted", 7, 3, 3,
    ]  # fmt: skip
    assert str(tmp_path) not in json.dumps({name: value for name, value in found.items() if name != "skipped_items"})
    assert any("trained on ReasonSeg train and val" in note for note in found["notes"])
    assert found["seconds"] >= 0 and found["median_milliseconds"] is not None


def test_every_sentence_of_every_referent_of_refcoco_is_a_case(evaluate, refcoco):
    code, lines, _ = evaluate("refcoco", "--data", refcoco, "--list")
    listed = [json.loads(line) for line in lines]
    image = "COCO_train2014_000000000001"
    assert code == 0 and [case["id"] for case in listed] == [f"{image}-0-0", f"{image}-0-1", f"{image}-1-0"]
    assert [case["request"] for case in listed] == [
        f"What is {text} in this image? Please output segmentation mask."
        for text in ("the middle one", "center", "top left unicorn")
    ]
    assert {Path(case["image"]).name for case in listed} == {f"{image}.jpg"}


def test_grefcoco_tells_what_is_there_from_what_is_not(figures, refcoco):
    found = figures("refcoco", "--data", refcoco, "--split", "gRefCOCO|unc|val")
    assert (found["split"], found["present"], found["absent"]) == ("grefcoco|unc|val", 1, 2)
    assert (found["target_accuracy"], found["no_target_accuracy"]) == (1.0, 0.5)
    assert found["requests"] == 3 and found["gIoU"] > 1 / 3, "an empty answer to an empty truth counts as 1"


def test_a_backend_may_be_asked_with_the_text_alone(evaluate, reasonseg):
    _, lines, _ = evaluate("reasonseg", "--data", reasonseg, "--plain", "--list")
    assert json.loads(lines[0])["request"] == json.loads(lines[0])["text"] == "the thing in the middle"


def test_tabletop_prints_kinds_and_one_json_object_last(evaluate, frames):
    words = ("--frames", frames.path, "--requests-per-frame", 6, "--seed", 3, "--mode", "forced")
    code, lines, _ = evaluate("tabletop", *words)
    assert code == 0
    figures = json.loads(lines[-1])
    assert (figures["requests"], figures["split"], figures["mode"], figures["seed"]) == (18, "train", "forced", 3)
    assert figures["data"] == frames.path.name and 0.0 < figures["gIoU"] < 1.0
    kinds = [line.split()[0] for line in lines[:-1]]
    assert kinds == sorted(kinds) and set(kinds) == {"banana", "cup", "knife"}
    assert set(summary([], scores_absent=False)) <= set(figures)


def test_equal_seeds_give_equal_outcomes(figures, frames):
    first, second, other = (figures("tabletop", "--frames", frames.path, "--seed", seed) for seed in (1, 1, 2))
    for found in (first, second, other):
        del found["seconds"], found["seed"]
    assert first == second != other


def complaint(result):
    code, lines, complaints = result
    assert code == 1 and lines == [] and len(complaints) == 1
    return complaints[0]


def test_what_a_user_got_wrong_is_one_sentence_and_exit_1(evaluate, reasonseg, frames, tmp_path):
    start_folder(tmp_path / "empty", DatasetInfo(1, "test", 80, 60))
    (frames.path / "frames" / "000005.jpg").write_bytes(b"not a picture")
    (tmp_path / "file").write_text("")
    on_reasonseg = ("reasonseg", "--data", reasonseg)
    for words, sentence in {
        ("tabletop", "--frames", tmp_path / "nowhere"): "nowhere/dataset.json cannot be read",
        ("tabletop", "--frames", tmp_path / "empty"): "empty holds no finished frames",
        ("tabletop", "--frames", frames.path): "000005.jpg is corrupt",
        ("reasonseg", "--data", tmp_path / "nowhere"): "nowhere does not exist",
        (*on_reasonseg, "--split", "test"): "test",
        ("refcoco", "--data", reasonseg, "--split", "refcoco|unc|tomorrow"): "tomorrow",
        (*on_reasonseg, "--limit", "0"): "--limit is 0",
        (*on_reasonseg, "--option", "delay"): "--option is 'delay'; it must be KEY=VALUE",
        (*on_reasonseg, "--resume"): "--resume needs the file to go on with",
        (*on_reasonseg, "--report", tmp_path / "file" / "report.html"): "report.html cannot be written",
        (*on_reasonseg, "--rows", tmp_path / "file" / "rows.jsonl"): "rows.jsonl cannot be written",
    }.items():
        assert sentence in complaint(evaluate(*words))


def test_a_model_backend_or_option_that_does_not_exist_is_one_sentence_and_exit_1(evaluate, reasonseg, tmp_path):
    words = ("reasonseg", "--data", reasonseg)
    assert "does not exist" in complaint(evaluate(*words, "--model", tmp_path / "none", backend="lisa"))
    assert "There is no backend 'abacus'" in complaint(evaluate(*words, backend="abacus"))
    assert "cannot be made with these options: LisaSegmenter.load() got" in complaint(
        evaluate(*words, "--option", "beads=7", backend="lisa")
    )


def test_a_split_that_does_not_exist_is_a_usage_error(frames, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["eval", "tabletop", "--frames", str(frames.path), "--split", "tomorrow"])
    assert caught.value.code == 2 and "new_templates" in capsys.readouterr().err


def test_a_real_process_scores_a_model_folder(tiny_model, tiny_text, reasonseg, tmp_path):
    from lisa_ros.model.processing import LisaProcessor

    tiny_model.save_pretrained(tmp_path / "tiny")
    LisaProcessor(tiny_text.config, tiny_text).save_pretrained(tmp_path / "tiny")
    options = [
        "--model",
        tmp_path / "tiny",
        "--device",
        "cpu",
        "--dtype",
        "float32",
        "--mode",
        "forced",
        "--threads",
        1,
    ]
    command = [sys.executable, "-m", "lisa_ros.cli", "eval", "reasonseg", "--data", reasonseg, *options]
    ended = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert (found["model"], found["requests"], found["no_mask"], found["skipped"]) == ("tiny", 6, 0, 2)
    assert "device=cpu" in found["settings"] and "8/8" in ended.stderr


def test_the_embedded_checkpoint_is_the_default(capsys):
    words = ["--frames", str(ROOT / "demo" / "tabletop"), "--limit", "3", "--device", "cpu"]
    assert main(["eval", "tabletop", *words]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["model"] == "lisa-tabletop" and found["requests"] == 3 and found["gIoU"] > 0.2
