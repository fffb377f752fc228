"""Sources are opened from small folders in the real formats."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
import yaml

from lisa_ros.datasets.records import DatasetError
from lisa_ros.training.mixture import DEFAULT_RATES, Mixture
from lisa_ros.training.settings import SettingsError, build_settings
from lisa_ros.training.source_settings import SourceSettings, open_sources
from lisa_ros.training.sources import DatasetSource
from lisa_ros.training.tabletop_source import TabletopSource

HEIGHT, WIDTH = 24, 32


@pytest.fixture
def root(tmp_path):
    """A folder of data sets: two images of ADE20K, one of ReasonSeg and one conversation of LLaVA-Instruct."""
    rng = np.random.default_rng(0)

    def write_image(*parts):
        path = tmp_path.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))

    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[:, 8:16], labels[:, 16:] = 1, 3
    for name in ("one", "two"):
        write_image("ade20k", "images", "training", f"{name}.jpg")
        label_folder = tmp_path / "ade20k" / "annotations" / "training"
        label_folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(label_folder / f"{name}.png"), labels)
    write_image("reason_seg", "ReasonSeg", "train", "fridge.jpg")
    points = [[4, 4], [20, 4], [20, 20], [4, 20]]
    annotation = {"text": ["What keeps food cold?"], "is_sentence": True, "shapes": [_shape("target", points)]}
    folder = tmp_path / "reason_seg" / "ReasonSeg"
    (folder / "train" / "fridge.json").write_text(json.dumps(annotation))
    (folder / "explanatory").mkdir()
    explanation = {"image": "fridge.jpg", "query": "What keeps food cold?", "outputs": "The fridge is cold inside."}
    (folder / "explanatory" / "train.json").write_text(json.dumps([explanation]))
    write_image("coco", "train2017", "1.jpg")
    said = [{"from": "human", "value": "What is it?\n<image>"}, {"from": "gpt", "value": "Noise."}]
    (tmp_path / "llava_dataset").mkdir()
    entries = [{"id": "1", "image": "1.jpg", "conversations": said}]
    (tmp_path / "llava_dataset" / "llava_instruct_150k.json").write_text(json.dumps(entries))
    return tmp_path


def _shape(label, points):
    return {"label": label, "points": points, "shape_type": "polygon", "group_id": None, "flags": {}}


def settings_of(text):
    return [build_settings(SourceSettings, entry, "sources") for entry in yaml.safe_load(text)]


def test_a_settings_file_becomes_a_mixture_of_all_that_it_names(root, frames):
    sources = settings_of(f"""
        - {{data: ade20k, root: {root}, group: semantic}}
        - {{data: "ReasonSeg|train", root: {root}}}
        - {{data: llava_instruct_150k, root: {root}}}
        - {{data: tabletop, root: {frames.path}}}
        """)
    groups = open_sources(sources, DEFAULT_RATES | {"tabletop": 4.0})
    assert {name: (rate, len(found)) for name, (rate, found) in groups.items()} == {
        "semantic": (9.0, 1), "reasoning": (1.0, 1), "vqa": (3.0, 1), "tabletop": (4.0, 1),
    }  # fmt: skip
    mixture = Mixture(groups, seed=2)
    samples = [mixture[position] for position in range(120)]
    assert {sample.source.split(",")[0].split("|")[0].split()[0] for sample in samples} == {
        "ade20k", "reason_seg", "llava_instruct_150k", "tabletop",
    }  # fmt: skip
    assert not any(sample.skipped for sample in samples)
    for sample in samples:
        written = "".join(turn.answer for turns in sample.conversations for turn in turns)
        assert written.count("[SEG]") == len(sample.masks)
        assert sample.masks.shape[1:] == sample.rgb.shape[:2]


def test_names_of_one_class_are_drawn_as_one_thing_and_expressions_apart(root):
    groups = open_sources([SourceSettings("ade20k", str(root)), SourceSettings("reason_seg", str(root))])
    by_name = {source.name: source for _, sources in groups.values() for source in sources}
    assert all(isinstance(source, DatasetSource) for source in by_name.values())
    assert by_name["ade20k"].one_text_each and not by_name["reason_seg|train"].one_text_each


def test_sources_of_one_group_share_its_rate(root, frames):
    sources = [SourceSettings("ade20k", str(root)), SourceSettings("tabletop", str(frames.path), "semantic")]
    ((name, (rate, found)),) = open_sources(sources).items()
    assert (name, rate) == ("semantic", 9.0) and isinstance(found[1], TabletopSource)


def test_what_is_missing_while_training_is_skipped_and_told_of(root):
    (root / "ade20k" / "images" / "training" / "two.jpg").unlink()
    mixture = Mixture(open_sources([SourceSettings("ade20k", str(root))]), seed=0)
    samples = [mixture[position] for position in range(20)]
    skipped = {(skip.source, skip.cause) for sample in samples for skip in sample.skipped}
    ((source, cause),) = skipped
    assert source == "ade20k" and "two.jpg is missing" in cause
    assert {sample.source for sample in samples} == {"ade20k, one"}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"data": "imagenet", "root": "x"}, r"data is 'imagenet'; valid names are ade20k, .*tabletop\.$"),
        ({"data": "ade20k"}, "does not give 'root'"),
        ({"data": "ade20k", "root": "x", "weight": 2}, "names 'weight'; valid are data, group, root"),
    ],
)
def test_settings_of_a_source_that_are_wrong_are_refused(entry, message):
    with pytest.raises(SettingsError, match=message):
        build_settings(SourceSettings, entry, "sources")


@pytest.mark.parametrize(
    ("data", "group", "rates", "message"),
    [
        (
            "tabletop",
            "",
            DEFAULT_RATES,
            r"rates gives 'tabletop', the group of 'tabletop', no rate; give it one above 0",
        ),
        ("ade20k", "", {"semantic": 0.0}, r"rates gives 'semantic', the group of 'ade20k', the rate 0\.0"),
        ("ade20k", "own", DEFAULT_RATES, r"rates gives 'own'"),
    ],
)
def test_a_group_needs_a_rate(root, data, group, rates, message):
    with pytest.raises(SettingsError, match=message):
        open_sources([SourceSettings(data, str(root), group)], rates)


def test_a_run_needs_a_source():
    with pytest.raises(SettingsError, match="sources is empty; name at least one"):
        open_sources([])


def test_folders_that_hold_no_data_are_refused_with_one_sentence(root, tmp_path, write_frames):
    rates = DEFAULT_RATES | {"tabletop": 1.0}
    shutil.rmtree(root / "ade20k")
    for settings, message in (
        (SourceSettings("ade20k", str(root)), "ade20k"),
        (SourceSettings("tabletop", str(tmp_path / "nowhere")), "nowhere"),
        (SourceSettings("tabletop", str(write_frames("none", []).path)), "holds no finished frames"),
    ):
        with pytest.raises(DatasetError, match=rf"^[^\n]*{message}[^\n]*$"):
            open_sources([settings], rates)
