"""The recorded ids are those of transformers 4.31's slow tokenizer in the reference."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lisa_ros.model.checkpoint_folder import CheckpointError
from lisa_ros.model.llama_tokenizer import LlamaTokenizer

TOKENIZERS = Path(__file__).parents[1] / "data" / "tokenizers"


@pytest.fixture(params=["7b_legacy", "13b_llama2_legacy", "llava15_nonlegacy"])
def kind(request):
    return request.param


def expected_of(kind):
    return json.loads((TOKENIZERS / kind / "expected_ids.json").read_text(encoding="utf-8"))


@pytest.fixture
def tokenizer(kind):
    return LlamaTokenizer.from_folder(TOKENIZERS / kind)


def test_every_recorded_prompt_and_answer_has_its_ids(kind, tokenizer):
    expected = expected_of(kind)
    assert len(expected["cases"]) == 14 and len(expected["answers"]) == 5
    for case in expected["cases"] + expected["answers"]:
        assert tokenizer.encode(case["prompt"]) == case["ids"], case["prompt"]


def test_added_tokens_may_stand_in_the_settings_as_later_versions_write_them(kind, tmp_path):
    shutil.copy(TOKENIZERS / kind / "tokenizer.model", tmp_path)
    expected = expected_of(kind)
    described = {str(token): {"content": text} for text, token in expected["added_tokens"].items()}
    described |= {"0": {"content": "<unk>"}, "1": {"content": "<s>"}, "2": {"content": "</s>"}}
    settings = {"legacy": expected["legacy"], "added_tokens_decoder": described}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = LlamaTokenizer.from_folder(tmp_path)
    for case in expected["cases"] + expected["answers"]:
        assert tokenizer.encode(case["prompt"]) == case["ids"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.model", b"not a model"),
        ("tokenizer.model", None),
        ("added_tokens.json", b"{"),
        ("added_tokens.json", b"[1, 2]"),
        ("added_tokens.json", b'{"[SEG]": "x"}'),
        ("tokenizer_config.json", b'{"added_tokens_decoder": {"700": {}}}'),
    ],
)
def test_a_missing_or_damaged_file_is_one_sentence(tmp_path, name, content):
    folder = tmp_path / "copy"
    shutil.copytree(TOKENIZERS / "7b_legacy", folder)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"^[^\n]*; copy (it|them) again\.$"):
        LlamaTokenizer.from_folder(folder)
