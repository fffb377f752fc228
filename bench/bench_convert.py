"""How long `lisa convert` takes and how much memory it needs for a checkpoint with the sizes of LISA-7B-v1.

Writes a random checkpoint in the published form (two pickled shards in bf16, and CLIP as openai publishes it), converts
it by the command line in a process of its own, whose memory and that of its children is watched, and compares a sample
of the written tensors with the random ones bit by bit. Prints a table, then one JSON line. At full size it needs about
35 GB of disk.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import torch
from safetensors import safe_open
from tqdm import tqdm

from lisa_ros.model.configuration import LisaConfig
from lisa_ros.model.official import translated_key, unread_reason

ROOT = Path(__file__).resolve().parents[1]
KEYS = ROOT / "test" / "data" / "official_keys_7b.json.gz"
TOKENIZER = ROOT / "test" / "data" / "tokenizers" / "7b_legacy" / "tokenizer.model"
LARGEST_SHARD = 10_000_000_000
VISION = "model.vision_tower.vision_tower."
WIDTHS = {4096, 11008, 1024, 1280, 3840, 5120, 80}
"""The sizes that --scale divides: hidden and inner widths of the Llama, of CLIP and of SAM's image encoder."""
ADDED_TOKENS = {"<im_patch>": 32000, "<im_start>": 32001, "<im_end>": 32002, "[SEG]": 32003}


def main() -> None:
    """Run the benchmark."""
    arguments = parse_arguments()
    keys = json.loads(gzip.decompress(KEYS.read_bytes()))
    shapes, clip_shapes = (
        {n: scaled(n, s, arguments.scale) for n, s in keys[k].items()} for k in ("keys", "clip_keys")
    )
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="lisa-convert-") as folder:
        target = arguments.target or Path(folder, "target")
        source, clip = Path(folder, "LISA-7B-random"), Path(folder, "clip-random")
        begun = time.monotonic()
        write_source(source, shapes, arguments.scale)
        write_clip(clip, clip_shapes, arguments.scale)
        writing = time.monotonic() - begun
        shards = [path.stat().st_size for path in source.glob("*.bin")]
        seconds, memory = watched_conversion(source, clip, target)
        checked = compare_sample(target, shapes | clip_shapes)
        written = sum(path.stat().st_size for path in target.glob("*.safetensors"))
    report(
        {
            "scale": arguments.scale,
            "source_bytes": sum(shards),
            "largest_shard_bytes": max(shards),
            "written_bytes": written,
            "writing_the_source_seconds": round(writing, 1),
            "conversion_seconds": round(seconds, 1),
            "peak_rss_parent_bytes": memory.parent,
            "peak_rss_children_bytes": memory.children,
            "peak_rss_together_bytes": memory.together,
            "peak_over_largest_shard": round(memory.together / max(shards), 3),
            "tensors_compared": checked,
        }
    )


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=int, default=1, choices=(1, 2, 4, 8, 16), help="divide the widths by this")
    parser.add_argument("--folder", type=Path, help="where to work (default: the system's temporary folder)")
    parser.add_argument("--target", type=Path, help="keep the converted checkpoint here")
    return parser.parse_args()


def scaled(name: str, shape: list[int], scale: int) -> tuple[int, ...]:
    """Return a shape with its widths divided; SAM's prompt encoder and mask decoder stay as they are."""
    if "prompt_encoder" in name or "mask_decoder" in name:
        return tuple(shape)
    return tuple(size // scale if size in WIDTHS else size for size in shape)


def fill(name: str, value: torch.Tensor) -> torch.Tensor:
    """Fill a tensor with the random values that belong to its name."""
    generator = torch.Generator().manual_seed(crc32(name.encode()))
    value.normal_(mean=1.0 if "norm" in name and name.endswith("weight") else 0.0, std=0.02, generator=generator)
    return value


def write_source(folder: Path, shapes: dict[str, tuple[int, ...]], scale: int) -> None:
    """Write the language model's checkpoint: shards as large as transformers 4.31 makes them, and their index."""
    folder.mkdir(parents=True)
    shards = divided(shapes)
    weight_map = {}
    for number, names in enumerate(shards, start=1):
        file = f"pytorch_model-{number:05d}-of-{len(shards):05d}.bin"
        write_pickle(folder / file, {name: shapes[name] for name in names}, torch.bfloat16)
        weight_map |= dict.fromkeys(names, file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps(official_config(scale)))
    shutil.copy(TOKENIZER, folder / "tokenizer.model")
    (folder / "added_tokens.json").write_text(json.dumps(ADDED_TOKENS))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))


def divided(shapes: dict[str, tuple[int, ...]]) -> list[list[str]]:
    """Divide names into shards of at most ``LARGEST_SHARD`` bytes in bf16; small checkpoints into two of a size."""
    sizes = {name: 2 * torch.Size(shape).numel() for name, shape in shapes.items()}
    limit = min(LARGEST_SHARD, int(sum(sizes.values()) * 0.67))
    shards: list[list[str]] = [[]]
    for name in shapes:
        if sum(sizes[known] for known in shards[-1]) + sizes[name] > limit:
            shards.append([])
        shards[-1].append(name)
    return shards


def write_pickle(path: Path, shapes: dict[str, tuple[int, ...]], dtype: torch.dtype) -> None:
    """Write random tensors; until they are written they lie in files, because memory may be too small for them."""
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        tensors = {}
        for number, (name, shape) in enumerate(tqdm(shapes.items(), desc=path.name, mininterval=5)):
            size = torch.Size(shape).numel()
            mapped = torch.from_file(f"{scratch}/{number}", shared=True, size=size, dtype=dtype)
            tensors[name] = fill(name, mapped.view(shape))
        torch.save(tensors, path)


def official_config(scale: int) -> dict[str, object]:
    """Return the ``config.json`` of LISA-7B-v1 with divided widths."""
    return {
        "architectures": ["LISAForCausalLM"],
        "model_type": "llava",
        "vocab_size": 32004,
        "hidden_size": 4096 // scale,
        "intermediate_size": 11008 // scale,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": 2048,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "use_cache": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "mm_hidden_size": 1024 // scale,
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "mm_vision_tower": "openai/clip-vit-large-patch14",
        "vision_tower": "openai/clip-vit-large-patch14",
        "mm_use_im_start_end": True,
        "out_dim": 256,
        "train_mask_decoder": True,
        "torch_dtype": "bfloat16",
    }


def write_clip(folder: Path, shapes: dict[str, tuple[int, ...]], scale: int) -> None:
    """Write CLIP's vision side in fp32."""
    folder.mkdir(parents=True)
    write_pickle(
        folder / "pytorch_model.bin", {name.removeprefix(VISION): s for name, s in shapes.items()}, torch.float32
    )
    vision = {"hidden_size": 1024 // scale, "intermediate_size": 4096 // scale, "patch_size": 14}
    vision |= {"num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 224}
    (folder / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": vision}))


@dataclass
class Memory:
    """The largest resident sets seen, in bytes: of the command, of its children, of both at the same moment."""

    parent: int = 0
    children: int = 0
    together: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self, process: int) -> None:
        """Look often until told to stop."""
        while not self.stop.wait(0.05):
            parent, children = resident(process), sum(map(resident, children_of(process)))
            self.parent, self.children = max(self.parent, parent), max(self.children, children)
            self.together = max(self.together, parent + children)


def resident(process: int) -> int:
    """Return the resident set of a process in bytes, mapped files included; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)


def children_of(process: int) -> list[int]:
    """Return the processes that a process started."""
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


@contextmanager
def watched(process: int) -> Iterator[Memory]:
    """Watch the memory of a process."""
    memory = Memory()
    thread = threading.Thread(target=memory.watch, args=(process,))
    thread.start()
    yield memory
    memory.stop.set()
    thread.join()


def watched_conversion(source: Path, clip: Path, target: Path) -> tuple[float, Memory]:
    """Convert by the command line; returns the seconds and the memory it took."""
    command = [sys.executable, "-m", "lisa_ros.cli", "convert", str(source), str(target), "--vision-tower", str(clip)]
    begun = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT)
    with watched(process.pid) as memory:
        code = process.wait()
    if code:
        raise SystemExit(f"The conversion ended with the exit code {code}.")
    return time.monotonic() - begun, memory


def compare_sample(target: Path, shapes: dict[str, tuple[int, ...]]) -> int:
    """Compare every seventh written tensor with its random values; returns how many, or ends the program."""
    single = target / "model.safetensors"
    index = target / "model.safetensors.index.json"
    weight_map = json.loads(index.read_text())["weight_map"] if index.is_file() else None
    vision = LisaConfig.from_folder(target).vision
    ours = {translated_key(name): name for name in shapes if unread_reason(name, vision) is None}
    chosen = list(ours)[::7]
    for name in tqdm(chosen, desc="comparing", mininterval=5):
        with safe_open(single if weight_map is None else target / weight_map[name], framework="pt") as file:
            found = file.get_tensor(name)
        official = ours[name].removeprefix(VISION) if VISION in ours[name] else ours[name]
        if not torch.equal(found, fill(official, torch.empty_like(found))):
            raise SystemExit(f"{name} is not what was written.")
    return len(chosen)


def report(figures: dict[str, float | int]) -> None:
    """Print a table for people, then one JSON line."""
    for name, value in figures.items():
        shown = f"{value / 1e9:10.3f} GB" if name.endswith("_bytes") else f"{value:10}"
        print(f"{name.removesuffix('_bytes').replace('_', ' '):32s}{shown}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
