"""Memory of LISA in every precision: computed from the weights by part, and measured while a checkpoint is loaded.

    python bench/bench_memory.py [--checkpoint FOLDER] [--device cuda] [--precisions bfloat16 4bit]

Computed are LISA-7B and LISA-13B in their official sizes and the embedded checkpoint. Measured is the checkpoint, the
embedded one if none is named: on a CPU the peak of resident memory over that before loading, on a GPU its peak of
allocated memory too. Prints tables, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from lisa_ros.model.checkpoint_folder import CheckpointError, read_config
from lisa_ros.model.configuration import (
    ClipVisionConfig,
    LanguageConfig,
    LisaConfig,
    SamVitConfig,
    TokenConfig,
)
from lisa_ros.model.modeling import TIED_HEAD, LisaModel
from lisa_ros.model.quantization import BLOCKS
from lisa_ros.model_folder import find_model

PRECISIONS: dict[str, dict[str, Any]] = {
    "float32": {"dtype": torch.float32},
    "bfloat16": {"dtype": torch.bfloat16},
    "8bit": {"dtype": torch.bfloat16, "quantization": "8bit"},
    "4bit": {"dtype": torch.bfloat16, "quantization": "4bit"},
}
PARTS = (
    (f"{BLOCKS}.", "Llama blocks"),
    ("language_model.", "embeddings, head"),
    ("vision_tower.", "CLIP"),
    ("pyramid.", "pyramid"),
    ("mm_projector.", "projector, fcs"),
    ("text_hidden_fcs.", "projector, fcs"),
    ("image_encoder.", "SAM encoder"),
    ("prompt_encoder.", "mask decoder"),
    ("mask_decoder.", "mask decoder"),
    ("request_encoder.", "request encoder"),
)
OFFICIAL = {
    "LISA-7B-v1": LanguageConfig(32004, 4096, 11008, 32, 32),
    "LISA-13B-llama2-v1": LanguageConfig(32003, 5120, 13824, 40, 40, rms_norm_eps=1e-5, max_position_embeddings=4096),
}
BITS = {"8bit": 8, "4bit": 4}
GIGABYTE = 1e9


def main() -> int:
    """Compute and measure; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="", help="folder or hub id to measure (default: the embedded one)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    arguments = parser.parse_args()
    try:
        computed = {name: _computed(config) for name, config in _configurations().items()}
        for name, table in computed.items():
            _print_computed(name, table)
        measured = _measured(find_model(arguments.checkpoint), arguments.device, arguments.precisions)
    except CheckpointError as error:
        print(f"bench_memory: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"computed": computed, "measured": measured, "device": arguments.device}))
    return 0


def _configurations() -> dict[str, LisaConfig]:
    official = {
        name: LisaConfig(language, ClipVisionConfig(), SamVitConfig(), TokenConfig(seg=language.vocab_size - 1))
        for name, language in OFFICIAL.items()
    }
    embedded = find_model("")
    return official | {"embedded": read_config(Path(embedded), embedded)}


def _computed(config: LisaConfig) -> dict[str, Any]:
    """Return parameters, and bytes in every precision, by part, and the bytes of keys and values a token."""
    with torch.device("meta"):
        weights = LisaModel(config).state_dict()
    if config.language.tie_word_embeddings:
        weights.pop(TIED_HEAD)
    parameters: dict[str, int] = defaultdict(int)
    sizes: dict[str, dict[str, float]] = {name: defaultdict(float) for name in PRECISIONS}
    for key, value in weights.items():
        part = next(part for prefix, part in PARTS if key.startswith(prefix))
        parameters[part] += value.numel()
        for name in PRECISIONS:
            sizes[name][part] += _bytes_of(key, value, name)
    language = config.language
    heads = (language.num_key_value_heads or language.num_attention_heads) / language.num_attention_heads
    values_a_token = 2 * language.num_hidden_layers * language.hidden_size * heads
    return {
        "parameters": dict(parameters),
        "bytes": {name: {part: round(size) for part, size in by_part.items()} for name, by_part in sizes.items()},
        "total_bytes": {name: round(sum(by_part.values())) for name, by_part in sizes.items()},
        "cache_bytes_a_token": {"16 bits": round(2 * values_a_token), "float32": round(4 * values_a_token)},
    }


def _bytes_of(key: str, value: torch.Tensor, precision: str) -> float:
    """Return the bytes of one weight; matrices of Llama's blocks carry scales where they are quantised."""
    bits = BITS.get(precision)
    if bits is None or not key.startswith(BLOCKS) or value.ndim != 2:
        return value.numel() * PRECISIONS[precision]["dtype"].itemsize
    if bits == 8:
        return value.numel() + 4 * value.shape[0]
    # A byte for each block of 64 weights, and 4 bytes for each 256 of those (QLoRA's double quantisation).
    return value.numel() * (0.5 + 1 / 64 + 4 / (64 * 256))


def _print_computed(name: str, table: dict[str, Any]) -> None:
    print(f"\n{name}: {sum(table['parameters'].values()):,} weights")
    print(f"{'GB':18s}{'weights':>16s}" + "".join(f"{precision:>10s}" for precision in PRECISIONS))
    for part, count in table["parameters"].items():
        sizes = "".join(f"{table['bytes'][precision][part] / GIGABYTE:10.3f}" for precision in PRECISIONS)
        print(f"{part:18s}{count:16,d}{sizes}")
    totals = "".join(f"{table['total_bytes'][precision] / GIGABYTE:10.3f}" for precision in PRECISIONS)
    print(f"{'all':18s}{sum(table['parameters'].values()):16,d}{totals}")
    cache = table["cache_bytes_a_token"]
    print(f"keys and values: {cache['16 bits'] / 1e6:.3f} MB a token in 16 bits, {cache['float32'] / 1e6:.3f} in fp32")


def _measured(checkpoint: str, device: str, precisions: list[str]) -> dict[str, dict[str, Any]]:
    """Load in a process of its own for every precision."""
    print(f"\n{checkpoint} on {device}, MB")
    print(f"{'':10s}{'weights':>10s}{'peak':>10s}{'ratio':>8s}{'after':>10s}{'GPU':>10s}{'GPU peak':>10s}")
    results = {}
    for precision in precisions:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            row = results[precision] = pool.apply(_load_and_measure, (checkpoint, device, precision))
        values = [
            row[name] / 1e6 for name in ("weight_bytes", "peak_bytes", "resident_bytes", "gpu_bytes", "gpu_peak_bytes")
        ]
        print(
            f"{precision:10s}{values[0]:10.1f}{values[1]:10.1f}{row['ratio']:8.3f}"
            + "".join(f"{value:10.1f}" for value in values[2:]),
            flush=True,
        )
    return results


def _load_and_measure(checkpoint: str, device: str, precision: str) -> dict[str, Any]:
    _import_everything()
    if device != "cpu":
        torch.zeros(1, device=device)
    before = _resident("VmRSS")
    # Let the highest mark start from here.
    Path("/proc/self/clear_refs").write_text("5")
    model = LisaModel.from_pretrained(checkpoint, device=device, **PRECISIONS[precision])
    peak, after = _resident("VmHWM") - before, _resident("VmRSS") - before
    storages = [value.untyped_storage() for value in model.state_dict().values()]
    weights = sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
    on_gpu = model.device.type == "cuda"
    return {
        "weight_bytes": weights,
        "peak_bytes": peak,
        "ratio": round(peak / weights, 4),
        "resident_bytes": after,
        "gpu_bytes": torch.cuda.memory_allocated(model.device) if on_gpu else 0,
        "gpu_peak_bytes": torch.cuda.max_memory_allocated(model.device) if on_gpu else 0,
    }


def _import_everything() -> None:
    """Import what loading would import, whose memory is not the weights'."""
    from lisa_ros.model.quantization import check_quantization
    from lisa_ros.model.sam import sam_modeling

    check_quantization("4bit")
    sam_modeling()
    from transformers import BertModel, CLIPVisionModel, LlamaForCausalLM  # noqa: F401


def _resident(name: str) -> int:
    """Return a value of this process's memory in bytes."""
    match = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) * 1024


if __name__ == "__main__":
    sys.exit(main())
