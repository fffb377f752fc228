"""What the command says and returns when a source cannot be converted."""

from __future__ import annotations

import os

import pytest
import torch

from .conftest import SHARDS


class Payload:
    """What an attacker would put among the weights."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch '{self.trace}'",)


@pytest.fixture
def refused(convert, published, tmp_path, capsys):
    """Convert the published checkpoint in vain: what was said, line by line."""

    def run(*options):
        assert convert(published.folder, "--vision-tower", published.clip, *options) == 1
        assert not list(tmp_path.glob("target/*.safetensors"))
        return [line for line in capsys.readouterr().err.splitlines() if "%" not in line]

    return run


def test_a_malicious_pickle_is_refused_in_one_sentence_and_its_payload_does_not_run(published, refused, tmp_path):
    trace = tmp_path / "was run"
    torch.save(published.weights() | {"payload": Payload(trace)}, published.folder / SHARDS[1])
    assert refused() == [
        f"lisa convert: {published.folder / SHARDS[1]} was refused and nothing in it was run: it asks for "
        "posix.system, which no file of weights needs, so it may be harmful; "
        "get it again from its publisher and compare the checksum."
    ]
    assert not trace.exists()


def test_a_truncated_shard_is_named(published, refused):
    shard = published.folder / SHARDS[0]
    shard.write_bytes(shard.read_bytes()[:-5000])
    (line,) = refused()
    assert line.startswith(f"lisa convert: {shard} is truncated, damaged or no file of weights (")


def test_every_weight_that_does_not_fit_is_a_line_before_the_sentence(published, refused):
    weights = published.weights()
    weights["model.mm_projector.renamed"] = weights.pop("model.mm_projector.weight")
    weights["model.norm.weight"] = torch.zeros(97)
    weights |= {f"extra.{number}": torch.zeros(2) for number in range(6)}
    for path in published.folder.glob("pytorch_model*"):
        path.unlink()
    torch.save(weights, published.folder / "pytorch_model.bin")
    *lines, sentence = refused()
    assert sorted(lines) == [
        "missing: model.mm_projector.weight [96, 48]",
        "of another shape: model.norm.weight [97] for [96]",
        *(f"unexpected: extra.{number} [2]" for number in range(6)),
        "unexpected: model.mm_projector.renamed [96, 48]",
    ]
    assert sentence.startswith(
        "lisa convert: The weights are not those of the network that the configuration describes ("
    )
    assert "7 unexpected, 1 missing, 1 of another shape" in sentence


def test_the_tokenizer_of_the_source_has_to_be_there(published, refused):
    (published.folder / "tokenizer.model").unlink()
    (line,) = refused()
    assert line.endswith("has no tokenizer.model; bring it from where the weights are from.")


def test_a_vision_tower_that_is_not_there_names_the_option(published, convert, capsys):
    assert convert(published.folder) == 1
    assert "a folder of another machine; give yours with --vision-tower FOLDER_OR_ID" in capsys.readouterr().err
    assert convert(published.folder, "--vision-tower", published.folder / "nowhere") == 1
    assert "vision tower is needed too (--vision-tower FOLDER_OR_ID): The folder" in capsys.readouterr().err


def test_a_plain_llava_is_told_how_to_begin_and_needs_the_weights_of_sam(llava, convert, capsys):
    assert convert(llava.folder, "--vision-tower", llava.clip) == 1
    assert "or begin a new LISA from a LLaVA with --segment-anything sam_vit_h_4b8939.pth" in capsys.readouterr().err
    assert convert(llava.folder, "--vision-tower", llava.clip, "--segment-anything", "nowhere.pth") == 1
    assert "The weights of SAM nowhere.pth are not there" in capsys.readouterr().err


def test_a_target_with_something_else_in_it_is_left_alone(refused, tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "thesis.txt").write_text("years of work")
    (line,) = refused()
    assert line.endswith("is not empty and holds no conversion; give a folder that is new or empty.")
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["thesis.txt"]
