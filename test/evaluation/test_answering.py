"""Runs that are cut off and go on: nothing is asked twice, and the figures are those of an unbroken run."""

from __future__ import annotations

import json

import pytest

from lisa_ros.scripted import ScriptedSegmenter


@pytest.fixture
def asked(monkeypatch):
    """Every request that reaches the scripted segmenter; the one numbered ``asked.fatal`` ends the process."""

    class Asked(list):
        fatal = None

    requests, ask = Asked(), ScriptedSegmenter.ask

    def counted(self, view, request):
        if len(requests) == requests.fatal:
            raise KeyboardInterrupt
        requests.append(request.text)
        return ask(self, view, request)

    monkeypatch.setattr(ScriptedSegmenter, "ask", counted)
    return requests


def without_time(figures):
    return {name: value for name, value in figures.items() if name not in ("seconds", "resumed")}


def test_a_run_that_was_cut_off_goes_on_where_it_was(figures, evaluate, asked, reasonseg, tmp_path):
    words = ("reasonseg", "--data", reasonseg)
    unbroken = figures(*words, "--rows", tmp_path / "unbroken.jsonl")
    rows = tmp_path / "rows.jsonl"
    asked.clear()
    asked.fatal = 4
    assert evaluate(*words, "--rows", rows) == (130, [], ["lisa eval: Stopped."])
    rows.write_bytes(rows.read_bytes() + b'{"id": "half a ro')
    asked.clear()
    asked.fatal = None
    resumed = figures(*words, "--rows", rows, "--resume")
    assert len(asked) == 2 and resumed["resumed"] == 4
    assert without_time(resumed) == without_time(unbroken)
    assert rows.read_text() == (tmp_path / "unbroken.jsonl").read_text()


def test_a_finished_run_asks_nothing_and_still_makes_its_report(figures, asked, reasonseg, tmp_path):
    words = ("reasonseg", "--data", reasonseg, "--rows", tmp_path / "rows.jsonl")
    first = figures(*words)
    asked.clear()
    again = figures(*words, "--resume", "--report", tmp_path / "report.html")
    assert not asked and again["resumed"] == 6 and without_time(again) == without_time(first)
    assert (tmp_path / "report.html").read_text().count("<img") > 6


def test_rows_hold_every_outcome(figures, frames, tmp_path):
    path = tmp_path / "new" / "rows.jsonl"
    found = figures("tabletop", "--frames", frames.path, "--rows", path, "--split", "new_meanings")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == found["requests"] == 9
    present = [row["iou"] for row in rows if row["group"] == "present"]
    assert found["gIoU"] == pytest.approx(sum(present) / len(present), abs=1e-6)


def test_rows_of_other_requests_or_another_run_are_refused(evaluate, reasonseg, frames, tmp_path):
    words = ("reasonseg", "--data", reasonseg, "--rows", tmp_path / "rows.jsonl")
    assert evaluate(*words)[0] == 0
    for changed, sentence in {
        ("--plain",): "holds a_phrase with another request",
        ("--mode", "forced"): "mode 'free', not 'forced'",
        ("--seed", "5"): "seed 0, not 5",
    }.items():
        code, _, (complaint,) = evaluate(*words, "--resume", *changed)
        assert code == 1 and sentence in complaint


def test_a_smaller_limit_counts_its_own_cases_only(figures, reasonseg, tmp_path):
    words = ("reasonseg", "--data", reasonseg, "--rows", tmp_path / "rows.jsonl")
    figures(*words)
    found = figures(*words, "--resume", "--limit", 2)
    assert (found["requests"], found["resumed"]) == (2, 2)
