"""Small checkpoints in the form in which LISA, LLaVA, CLIP and SAM are published, from a recording's weights."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT / "test" / "data"
VISION = "model.vision_tower.vision_tower."
SAM = "model.visual_model."
SHARDS = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")
INDEX = "pytorch_model.bin.index.json"
TEXT = "A chat between a curious human and an artificial intelligence assistant gives helpful answers about {} images."


@dataclass
class Published:
    """A checkpoint as it is published, and the CLIP that belongs to it."""

    folder: Path
    clip: Path

    def weights(self):
        import torch

        found = {}
        for path in sorted(self.folder.glob("*.bin")):
            found |= torch.load(path, weights_only=True)
        return found

    def rewrite(self, shard, change):
        """Change the tensors of one shard in place."""
        import torch

        tensors = torch.load(self.folder / shard, weights_only=True)
        change(tensors)
        torch.save(tensors, self.folder / shard)

    def change_config(self, **values):
        path = self.folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    def index(self):
        return json.loads((self.folder / INDEX).read_text())


@pytest.fixture(scope="session")
def recorded():
    """The weights of the recording under their official names, bf16, and its configuration."""
    import torch
    from safetensors.torch import load_file

    weights = load_file(DATA / "golden_tiny_b" / "weights.safetensors")
    weights = {
        name: value.to(torch.bfloat16) if value.is_floating_point() else value for name, value in weights.items()
    }
    return weights, json.loads((DATA / "golden_tiny_b" / "config.json").read_text())


@pytest.fixture(scope="session")
def pieces():
    """A SentencePiece model of 300 pieces, so that the added tokens have the ids of the recording."""
    from sentencepiece import SentencePieceTrainer

    trained = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter([TEXT.format(number) for number in range(200)]),
        model_writer=trained,
        vocab_size=300,
        byte_fallback=True,
        model_type="bpe",
        character_coverage=1.0,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        hard_vocab_limit=False,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    return trained.getvalue()


def contents(folder):
    """The files of a folder by their checksums; the time in provenance.json differs from run to run."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != "provenance.json"
    }


def flip_last_bit(path):
    """Damage a file as a disk does."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def write_tokenizer(folder, pieces, added, *, legacy=None):
    (folder / "tokenizer.model").write_bytes(pieces)
    (folder / "added_tokens.json").write_text(json.dumps(added))
    settings = {"tokenizer_class": "LlamaTokenizer"} | ({} if legacy is None else {"legacy": legacy})
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def write_clip(folder, weights, config):
    """Write a whole CLIP, as openai publishes it: a pickle in fp32 with the language side that LISA never reads."""
    import torch

    folder.mkdir(parents=True)
    vision = {name: config[name] for name in config if name not in ("projection_dim", "image_size", "hidden_act")}
    (folder / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": vision}))
    tensors = {
        name.removeprefix(VISION): value.float() if value.is_floating_point() else value
        for name, value in weights.items()
        if name.startswith(VISION)
    }
    tensors |= {"text_model.embeddings.token_embedding.weight": torch.ones(7, 5), "logit_scale": torch.tensor(4.6)}
    tensors["vision_model.embeddings.position_ids"] = torch.arange(257)[None]
    torch.save(tensors, folder / "pytorch_model.bin")


def official_config(config, **changes):
    """The ``config.json`` of a published LISA with the sizes of a recording."""
    return (
        config["llama"]
        | {
            "architectures": ["LISAForCausalLM"],
            "model_type": "llava",
            "torch_dtype": "bfloat16",
            "freeze_mm_mlp_adapter": True,
            "image_aspect_ratio": "square",
            "mm_hidden_size": config["clip"]["hidden_size"],
            "mm_use_im_start_end": True,
            "mm_use_im_patch_token": False,
            "mm_vision_select_feature": "patch",
            "mm_vision_select_layer": -2,
            "mm_vision_tower": "/someone/elsewhere/clip-vit-large-patch14",
            "vision_tower": "/someone/elsewhere/clip-vit-large-patch14",
            "out_dim": 256,
            "train_mask_decoder": True,
            "transformers_version": "4.31.0",
        }
        | changes
    )


def write_shards(folder, weights, *, zipped=True):
    """Write two pickled shards with their index."""
    import torch

    names = list(weights)
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    for shard, half in zip(SHARDS, halves, strict=True):
        torch.save({name: weights[name] for name in half}, folder / shard, _use_new_zipfile_serialization=zipped)
    weight_map = {name: shard for shard, half in zip(SHARDS, halves, strict=True) for name in half}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


@pytest.fixture(scope="session")
def published_once(recorded, pieces, tmp_path_factory):
    """A LISA as it is published: two pickled shards in bf16 without CLIP, whose own folder lies beside it.

    Tests must not change it.
    """
    weights, config = recorded
    place = tmp_path_factory.mktemp("published")
    folder, clip = place / "LISA-tiny-v1", place / "clip-vit-tiny"
    folder.mkdir()
    write_clip(clip, weights, config["clip"])
    write_shards(folder, {name: value for name, value in weights.items() if not name.startswith(VISION)})
    (folder / "config.json").write_text(json.dumps(official_config(config)))
    write_tokenizer(folder, pieces, {"<im_patch>": 300, "<im_start>": 301, "<im_end>": 302, "[SEG]": 303})
    return Published(folder, clip)


@pytest.fixture
def published(published_once, tmp_path):
    """The same in a place of its own; a test may change it."""
    folder, clip = (tmp_path / path.name for path in (published_once.folder, published_once.clip))
    shutil.copytree(published_once.folder, folder)
    shutil.copytree(published_once.clip, clip)
    return Published(folder, clip)


def is_gone(process):
    """Wait a little for a process to end."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        status = Path(f"/proc/{process}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


def convert_into(target, published, *options):
    """Convert in this process; returns what was said."""
    from lisa_ros.cli import main

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = main(["convert", str(published.folder), str(target), "--vision-tower", str(published.clip), *options])
    assert code == 0
    return said.getvalue()


@pytest.fixture(scope="session")
def converted_once(published_once, tmp_path_factory):
    """The target of a conversion into one file, and what the command said; tests must not change it."""
    target = tmp_path_factory.mktemp("converted") / "target"
    return target, convert_into(target, published_once)


@pytest.fixture(scope="session")
def divided_once(published_once, tmp_path_factory):
    """The target of a conversion into many files; tests must not change it."""
    target = tmp_path_factory.mktemp("divided") / "target"
    convert_into(target, published_once, "--shard-size", "100KB")
    return target


@pytest.fixture
def converted(converted_once, tmp_path):
    """A copy of the same, which a test may change, at the place that ``convert`` writes to."""
    return Path(shutil.copytree(converted_once[0], tmp_path / "target"))


@pytest.fixture
def llava(recorded, pieces, tmp_path):
    """A plain LLaVA with 303 tokens, the first that LISA-7B was made of, and SAM's weights beside it."""
    import torch

    weights, config = recorded
    folder, clip = tmp_path / "LLaVA-tiny", tmp_path / "clip-vit-tiny"
    folder.mkdir()
    write_clip(clip, weights, config["clip"])
    base = {name: value for name, value in weights.items() if not name.startswith((VISION, SAM, "model.text_hidden"))}
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        base[name] = base[name][:303].clone()
    write_shards(folder, base)
    values = official_config(config, architectures=["LlavaLlamaForCausalLM"], vocab_size=303)
    for name in ("train_mask_decoder", "out_dim", "vision_tower", "mm_use_im_start_end"):
        del values[name]
    (folder / "config.json").write_text(json.dumps(values))
    write_tokenizer(folder, pieces, {"<im_patch>": 300, "<im_start>": 301, "<im_end>": 302})
    sam = {name.removeprefix(SAM): value.float() for name, value in weights.items() if name.startswith(SAM)}
    torch.save(sam, tmp_path / "sam_vit_tiny.pth")
    return Published(folder, clip)


def started_convert(source, target, *options, **environment):
    """Start the command in a process of its own."""
    command = [sys.executable, "-m", "lisa_ros.cli", "convert", str(source), str(target), *map(str, options)]
    variables = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | environment
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=variables, **pipes)


@pytest.fixture
def convert(tmp_path):
    """Convert in this process: the exit code; the target is ``tmp_path / "target"``."""
    from lisa_ros.cli import main

    def run(source, *options):
        return main(["convert", str(source), str(tmp_path / "target"), *map(str, options)])

    return run


@pytest.fixture(scope="session")
def reader():
    """One process that opens weight files, for all tests that only list them."""
    from lisa_ros.conversion.reader import WeightReader

    with WeightReader() as reader:
        yield reader
