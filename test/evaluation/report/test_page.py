"""The report as a reader gets it: the file that ``lisa eval --report`` writes, read back with an HTML parser."""

from __future__ import annotations

import base64
import json
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from lisa_ros.evaluation.report.quoted import quoted_table

HOSTILE = '</p><script>alert(1)</script><img src=x onerror="alert(2)"> & \u00e9 \x07'
WITHOUT_END = {"meta", "img"}


class Page(HTMLParser):
    """Collects tables as lists of rows, pictures, the text, and every tag with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.tables, self.captions, self.texts = [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, "every element ends"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in WITHOUT_END:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
            self.captions.append("")
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if "caption" in self.open:
            self.captions[-1] += data
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    @property
    def text(self):
        return " ".join(self.texts)

    @property
    def pictures(self):
        return [attributes["src"] for tag, attributes in self.tags if tag == "img"]

    def table(self, start):
        (index,) = [n for n, caption in enumerate(self.captions) if caption.startswith(start)]
        return self.tables[index]


@pytest.fixture
def report(figures, tmp_path):
    """Evaluate with a report; returns the page and the JSON object."""

    def report(*words):
        path = tmp_path / "reports" / "report.html"
        found = figures(*words, "--report", path)
        return Page(path.read_text(encoding="utf-8")), found

    return report


def percent(value):
    return f"{100 * value:.2f}"


def test_the_figures_are_those_of_the_json_line(report, reasonseg):
    page, found = report("reasonseg", "--data", reasonseg)
    head, overall, long, short = page.table("gIoU and cIoU")
    assert head[:6] == ["model", "mode", "cases", "requests", "gIoU", "cIoU"]
    for row, name, part in (
        (overall, "overall", found),
        *((row, row[2], found["groups"][row[2]]) for row in (long, short)),
    ):
        assert row[:4] == ["scripted", "free", name, str(part["requests"])]
        assert row[4].split()[0] == percent(part["gIoU"]) and row[5].split()[0] == percent(part["cIoU"])
        assert row[6] == percent(part["IoU_above_half"])
    assert overall[7:10] == [str(found[name]) for name in ("no_mask", "several_masks", "failed")]
    (shown,) = [json.loads(text) for text in page.texts if text.startswith("{")]
    assert shown == found


def test_intervals_are_shown_where_there_are_cases_enough(report, frames):
    page, found = report("tabletop", "--frames", frames.path, "--requests-per-frame", 6)
    _, overall = page.table("gIoU and cIoU")
    low, high = found["gIoU_interval"]
    assert overall[4] == f"{percent(found['gIoU'])} [{percent(low)}, {percent(high)}]"
    _, presence = page.table("Presence and absence")
    assert presence[2:6] == [
        str(found["present"]), percent(found["target_accuracy"]), percent(found["right_object"]), str(found["absent"]),
    ]  # fmt: skip
    kinds = page.table("Kinds that were there")
    assert [row[0] for row in kinds[1:]] == ["banana", "cup", "knife"] and "[" not in kinds[1][2]
    assert len(page.table("Wordings for what was there")) > 2


def test_the_table_of_the_paper_is_marked_as_quoted_and_ours_as_measured(report, reasonseg):
    page, found = report("reasonseg", "--data", reasonseg)
    caption = next(caption for caption in page.captions if "QUOTED" in caption)
    assert "CVPR 2024, Table 1" in caption and "not measured here" in caption
    head, *rows = page.table("QUOTED")
    assert head[2:4] == ["val gIoU", "val cIoU"] and head[4:6] == ["test short gIoU", "test short cIoU"]
    quoted = quoted_table("reasonseg").rows
    assert [row[0] for row in rows[:-1]] == list(quoted) and {row[1] for row in rows[:-1]} == {"quoted"}
    for row in rows[:-1]:
        assert row[2:] == [f"{value:.1f}" for value in quoted[row[0]]]
    ours = rows[-1]
    assert ours[:2] == ["scripted (free)", f"measured on the 6 cases of {reasonseg.name}"]
    assert ours[2:] == [f"{100 * found['gIoU']:.1f}", f"{100 * found['cIoU']:.1f}", *["\u2013"] * 6]
    assert "trained on ReasonSeg train and val" in page.text


def test_figures_of_refcoco_stand_in_the_column_of_their_split(report, refcoco):
    page, found = report("refcoco", "--data", refcoco)
    head, *rows = page.table("QUOTED")
    assert head[2] == "refcoco|unc|val cIoU" and rows[-1][2] == f"{100 * found['cIoU']:.1f}"
    assert [row for row in rows if row[0] == "SEEM"] == [["SEEM", "quoted", *["\u2013"] * 6, "65.7", "\u2013"]]


def test_both_modes_stand_side_by_side(report, figures, reasonseg, tmp_path):
    forced = figures("reasonseg", "--data", reasonseg, "--mode", "forced", "--rows", tmp_path / "forced.jsonl")
    page, found = report("reasonseg", "--data", reasonseg, "--beside", tmp_path / "forced.jsonl")
    rows = [row for row in page.table("gIoU and cIoU") if row[2] == "overall"]
    assert [row[1] for row in rows] == ["free", "forced"]
    assert [row[4].split()[0] for row in rows] == [percent(one["gIoU"]) for one in (found, forced)]
    assert [row[0] for row in page.table("QUOTED")[-2:]] == ["scripted (free)", "scripted (forced)"]


def test_rows_of_another_benchmark_do_not_stand_beside(evaluate, reasonseg, frames, tmp_path):
    rows = tmp_path / "rows.jsonl"
    assert evaluate("tabletop", "--frames", frames.path, "--rows", rows)[0] == 0
    code, _, (complaint,) = evaluate("reasonseg", "--data", reasonseg, "--beside", rows)
    assert code == 1 and "holds rows of tabletop train, not of reasonseg val" in complaint


def test_pictures_are_inside_the_file_and_open(report, reasonseg):
    page, _ = report("reasonseg", "--data", reasonseg)
    assert len(page.pictures) == 3 + 3 + 6, "worst, best and random are drawn from six cases"
    for address in page.pictures:
        start, data = address.split(",")
        assert start == "data:image/jpeg;base64"
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(data, validate=True), np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (45, 60, 3)
    loaded = [attributes.get("href") or attributes.get("src", "") for _, attributes in page.tags]
    assert all(not address or address.startswith("data:") for address in loaded)
    assert "script" not in {tag for tag, _ in page.tags}
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags


def test_galleries_name_the_request_the_words_and_the_iou(report, reasonseg):
    page, _ = report("reasonseg", "--data", reasonseg, "--rows", reasonseg / "rows.jsonl")
    rows = [json.loads(line) for line in (reasonseg / "rows.jsonl").read_text().splitlines()]
    for row in rows:
        assert row["text"] in page.text and row["words"] in page.text
        assert f"IoU {100 * row['iou']:.1f} %" in page.text


def test_what_was_skipped_and_how_it_was_made_is_said(report, reasonseg):
    page, found = report("reasonseg", "--data", reasonseg, "--seed", 3)
    assert "Skipped: 2" in page.text
    assert page.table("Items that could not be used")[1:] == [[s["id"], s["reason"]] for s in found["skipped_items"]]
    (command,) = [text for text in page.texts if text.startswith("lisa eval")]
    assert command.startswith("lisa eval reasonseg ") and f"--data {reasonseg}" in command and "--seed 3" in command


def test_hostile_texts_stay_texts(report, reasonseg):
    path = reasonseg / "reason_seg" / "ReasonSeg" / "val" / "a_phrase.json"
    entry = json.loads(path.read_text())
    path.write_text(json.dumps(entry | {"text": [HOSTILE]}))
    page, _ = report("reasonseg", "--data", reasonseg)
    assert "script" not in {tag for tag, _ in page.tags} and "onerror" not in str(page.tags)
    assert HOSTILE.replace("\x07", "\ufffd") in page.text
