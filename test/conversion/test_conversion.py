"""Whole conversions of small checkpoints in the published forms."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.processing import LisaProcessor

from .conftest import contents, write_shards, write_tokenizer


def require_same_weights(model, expected):
    found = model.state_dict()
    assert set(found) == set(expected.state_dict())
    for name, value in expected.state_dict().items():
        assert torch.equal(found[name].to(value.dtype), value), name


@torch.inference_mode()
def test_a_published_checkpoint_becomes_a_folder_that_loads_as_the_same_network(
    converted_once, published_once, golden_model
):
    target, said = converted_once
    assert said == (
        f"Converted {published_once.folder} to {target}: 291 tensors, 0.01 GB in 1 file(s); "
        "24 tensors that influence nothing left out (see provenance.json).\n"
    )
    names = {"model.safetensors", "config.json", "tokenizer.model", "added_tokens.json", "tokenizer_config.json"}
    assert {path.name for path in target.iterdir()} == names | {"provenance.json"}

    model, processor = LisaModel.from_pretrained(target), LisaProcessor.from_pretrained(target)
    assert model.config == replace(golden_model.config, name="LISA-tiny-v1")
    require_same_weights(model, golden_model)
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    images, prompt = processor(image, "What is the image?")
    assert torch.equal(model.encode_image_for_language(images), golden_model.encode_image_for_language(images))
    masks = [network.encode_image_for_masks(images).image_embeddings for network in (model, golden_model)]
    assert torch.equal(*masks)
    text = torch.cat([prompt.prefix_ids, prompt.request_ids])
    assert {301, 302} <= set(text.tolist()) and int(text.max()) < 304


def test_dtypes_stay_as_they_are_published_and_files_are_as_readable_as_others(converted_once):
    found = load_file(converted_once[0] / "model.safetensors")
    assert {value.dtype for name, value in found.items() if not name.startswith("vision_tower.")} == {torch.bfloat16}
    assert {value.dtype for name, value in found.items() if name.startswith("vision_tower.")} == {torch.float32}
    assert len({path.stat().st_mode for path in converted_once[0].iterdir()}) == 1


def test_where_it_comes_from_and_what_was_left_out_is_written_down(converted_once, published_once):
    folder, target = published_once.folder, converted_once[0]
    told = json.loads((target / "provenance.json").read_text())
    sources = {source["part"]: source for source in told["sources"]}
    assert sources["LISA"]["name"] == str(folder) and sources["LISA"]["revision"] is None
    files = {file["name"]: file for file in sources["LISA"]["files"]}
    assert set(files) == {path.name for path in folder.iterdir()}
    for path in folder.iterdir():
        assert files[path.name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert files[path.name]["size"] == path.stat().st_size
    assert {file["name"] for file in sources["vision tower"]["files"]} == {"config.json", "pytorch_model.bin"}
    assert {file["name"]: file["sha256"] for file in told["files"]} == contents(target)
    counts = {reason: len(names) for reason, names in told["left_out"].items()}
    assert counts == {
        "CLIP's language side, which LISA does not have": 2,
        "computed by the network itself": 4,
        "behind the layer of CLIP that LISA reads": 18,
    }
    assert told["versions"]["torch"] == torch.__version__ and told["begun"] == {}


def test_the_same_weights_in_other_forms_give_the_same_files(published, converted_once, convert, tmp_path):
    write_shards(published.folder, published.weights(), zipped=False)
    clip = torch.load(published.clip / "pytorch_model.bin", weights_only=True)
    # As newer versions of transformers name them.
    clip = {name.removeprefix("vision_model."): value for name, value in clip.items()}
    save_file(clip, published.clip / "model.safetensors")
    (published.clip / "pytorch_model.bin").write_bytes(b"not read where there is the other")
    assert convert(published.folder, "--vision-tower", published.clip) == 0
    assert contents(tmp_path / "target") == contents(converted_once[0])


def test_a_checkpoint_that_brings_its_own_vision_tower_needs_only_its_configuration(
    published, recorded, convert, tmp_path, golden_model
):
    write_shards(published.folder, recorded[0])
    (published.clip / "pytorch_model.bin").unlink()
    assert convert(published.folder, "--vision-tower", published.clip) == 0
    require_same_weights(LisaModel.from_pretrained(tmp_path / "target"), golden_model)


def test_weights_larger_than_a_shard_are_divided_as_hugging_face_does(divided_once, golden_model):
    index = json.loads((divided_once / "model.safetensors.index.json").read_text())
    shards = sorted(path.name for path in divided_once.glob("*.safetensors"))
    assert shards == [f"model-{number:05d}-of-{len(shards):05d}.safetensors" for number in range(1, len(shards) + 1)]
    found = {}
    for shard in shards:
        tensors = load_file(divided_once / shard)
        assert {index["weight_map"][name] for name in tensors} == {shard}
        assert len(tensors) == 1 or sum(value.nbytes for value in tensors.values()) <= 100_000
        found |= tensors
    assert set(found) == set(index["weight_map"]) and len(shards) > 40
    assert index["metadata"]["total_size"] == sum(value.nbytes for value in found.values())
    require_same_weights(LisaModel.from_pretrained(divided_once), golden_model)


def test_a_lisa_plus_plus_keeps_its_projector_and_its_own_tokenizer(published, convert, tmp_path, pieces):
    weights = {name: value for name, value in published.weights().items() if "mm_projector" not in name}
    generator = torch.Generator().manual_seed(0)
    for name, shape in {"0.weight": (96, 48), "0.bias": (96,), "2.weight": (96, 96), "2.bias": (96,)}.items():
        weights[f"model.mm_projector.{name}"] = torch.randn(shape, generator=generator).to(torch.bfloat16)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        weights[name] = weights[name][:301].clone()
    write_shards(published.folder, weights)
    published.change_config(vocab_size=301, mm_projector_type="mlp2x_gelu", mm_use_im_start_end=False)
    write_tokenizer(published.folder, pieces, {"[SEG]": 300}, legacy=False)
    assert convert(published.folder, "--vision-tower", published.clip) == 0
    model = LisaModel.from_pretrained(tmp_path / "target")
    for name in ("0.weight", "0.bias", "2.weight", "2.bias"):
        assert torch.equal(model.state_dict()[f"mm_projector.{name}"], weights[f"model.mm_projector.{name}"].float())
    tokens = model.config.tokens
    assert (tokens.seg, tokens.image_start, tokens.image_end) == (300, None, None)
    text = LisaProcessor.from_pretrained(tmp_path / "target").text
    assert text.tokenizer.legacy is False and text.tokenizer.encode("[SEG]") == [1, 300]


def test_a_new_lisa_is_begun_from_a_llava_and_sam(llava, convert, tmp_path, golden_model):
    sam = tmp_path / "sam_vit_tiny.pth"
    options = ("--vision-tower", llava.clip, "--segment-anything", sam)
    assert convert(llava.folder, *options, "--seed", 5) == 0
    target = tmp_path / "target"
    model, text = LisaModel.from_pretrained(target), LisaProcessor.from_pretrained(target).text
    expected = {name: value for name, value in golden_model.state_dict().items() if not name.startswith("text_hidden")}
    for name in ("language_model.model.embed_tokens.weight", "language_model.lm_head.weight"):
        rows, old = model.state_dict()[name], expected.pop(name)[:303]
        assert rows.shape == (304, 96) and torch.equal(rows[:303], old)
        assert torch.equal(rows[303], old.mean(0).to(torch.bfloat16).float())
    for name, value in expected.items():
        assert torch.equal(model.state_dict()[name], value), name
    assert (model.config.tokens.seg, model.config.tokens.image_start, model.config.tokens.image_end) == (303, 301, 302)
    assert text.tokenizer.added == {"<im_patch>": 300, "<im_start>": 301, "<im_end>": 302, "[SEG]": 303}
    told = json.loads((target / "provenance.json").read_text())
    assert told["begun"]["new_tokens"] == {"[SEG]": 303} and told["begun"]["seed"] == 5
    assert {source["part"] for source in told["sources"]} == {"LLaVA", "vision tower", "segment anything"}

    assert 0.9 < model.text_hidden_fcs[0].weight.std() / (96**-0.5 / 3**0.5) < 1.1


def test_what_is_converted_already_is_said_and_left_alone(published, converted, convert, capsys):
    before = {path.name: path.stat().st_mtime_ns for path in converted.iterdir()}
    assert convert(published.folder, "--vision-tower", published.clip) == 0
    assert f"{converted} holds the finished conversion of {published.folder} already" in capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in converted.iterdir()} == before


def test_the_hubs_files_are_found_in_its_cache_and_their_commit_is_written_down(
    published, converted_once, convert, tmp_path, monkeypatch
):
    from huggingface_hub import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--publisher--LISA-tiny-v1"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(published.folder, repository / "snapshots" / commit)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert convert("publisher/LISA-tiny-v1", "--vision-tower", published.clip) == 0
    assert contents(tmp_path / "target") == contents(converted_once[0])
    told = json.loads((tmp_path / "target" / "provenance.json").read_text())["sources"][0]
    assert (told["name"], told["revision"]) == ("publisher/LISA-tiny-v1", commit)
