"""What fewer bits cost: the tabletop benchmark with the embedded checkpoint in fp32, bf16, 8 bits and 4 bits.

    python bench/bench_quantization.py FRAMES [--limit 100] [--precisions float32 4bit]

FRAMES is a folder that ``lisa simulate`` made, best of scenes that the checkpoint has not seen. Every precision is
loaded in a process of its own. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from pathlib import Path
from typing import Any

from lisa_ros.answers import Mode
from lisa_ros.model_folder import find_model
from lisa_ros.simulation.frames import FrameError, FrameFolder
from lisa_ros.simulation.requests.sampling import RequestSplit

PRECISIONS = {
    "float32": {"dtype": "float32"},
    "bfloat16": {"dtype": "bfloat16"},
    "8bit": {"dtype": "float32", "quantization": "8bit"},
    "4bit": {"dtype": "float32", "quantization": "4bit"},
    "8bit-bfloat16": {"dtype": "bfloat16", "quantization": "8bit"},
    "4bit-bfloat16": {"dtype": "bfloat16", "quantization": "4bit"},
}
REFERENCE = "float32"
FIGURES = ("gIoU", "cIoU", "right_object", "refused_present", "not_present", "failed", "median_milliseconds")


def main() -> int:
    """Measure every precision; returns the exit code."""
    arguments = _parser().parse_args()
    try:
        total = len(FrameFolder(arguments.frames))
    except FrameError as error:
        print(f"bench_quantization: {error}", file=sys.stderr)
        return 1
    measured = {}
    for name in arguments.precisions:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            measured[name] = pool.apply(measure, (name, arguments))
        _print_row(name, measured[name], measured.get(REFERENCE))
    frames = min(arguments.limit or total, total)
    details = {"model": arguments.model or "embedded", "frames": frames, "mode": arguments.mode}
    print(json.dumps(details | {"precisions": measured, "lost_points": _losses(measured)}))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path, help="folder that `lisa simulate` made")
    parser.add_argument("--model", default="", help="checkpoint folder or hub id (default: the embedded one)")
    parser.add_argument("--limit", type=int, default=0, help="so many frames, 0 for all")
    parser.add_argument("--requests-per-frame", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="seed of the requests")
    parser.add_argument("--mode", choices=["free", "forced"], default="free")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for torch's own choice")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=["float32", "bfloat16", "8bit", "4bit"])
    return parser


def measure(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Load the checkpoint in one precision and return its figures over the frames."""
    from lisa_ros.engine.lisa_segmenter import LisaSegmenter
    from lisa_ros.evaluation.benchmark import run
    from lisa_ros.evaluation.outcomes import Outcome
    from lisa_ros.evaluation.summary import summary
    from lisa_ros.evaluation.tabletop import tabletop_cases

    model = find_model(arguments.model)
    segmenter = LisaSegmenter.load(model, arguments.device, threads=arguments.threads, **PRECISIONS[name])
    frames = FrameFolder(arguments.frames)
    frames.indices = frames.indices[: arguments.limit or None]
    cases = tabletop_cases(
        frames, RequestSplit.TRAIN, requests_per_frame=arguments.requests_per_frame, seed=arguments.seed
    )
    mode = {"free": Mode.AUTO, "forced": Mode.MASK_FIRST}[arguments.mode]
    outcomes = [outcome for outcome in run(segmenter, cases, mode) if isinstance(outcome, Outcome)]
    figures = summary(outcomes, scores_absent=False)
    blank = sum(outcome.masks > 0 and not outcome.mask_pixels for outcome in outcomes if outcome.has_target)
    return {
        "requests": figures["requests"],
        **{figure: figures[figure] for figure in FIGURES},
        "blank_masks": blank,
        "model_bytes": _bytes_of(segmenter.model),
    }


def _bytes_of(model: Any) -> int:
    """Return the bytes of the weights, shared ones once, and of what quantised ones are multiplied with."""
    storages = [value.untyped_storage() for value in model.state_dict().values()]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def _losses(measured: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return how many points of gIoU and cIoU every precision is below fp32."""
    if REFERENCE not in measured:
        return {}
    return {
        name: {figure: round(100 * (measured[REFERENCE][figure] - figures[figure]), 2) for figure in ("gIoU", "cIoU")}
        for name, figures in measured.items()
        if name != REFERENCE
    }


def _print_row(name: str, figures: dict[str, Any], reference: dict[str, Any] | None) -> None:
    lost = "" if reference is None else f"  {100 * (reference['gIoU'] - figures['gIoU']):+6.2f} points lost"
    named = "-" if figures["right_object"] is None else f"{figures['right_object']:.3f}"
    print(
        f"{name:14s} gIoU {figures['gIoU']:.4f}  cIoU {figures['cIoU']:.4f}  right object {named}"
        f"  refused {figures['refused_present']:.3f}  blank {figures['blank_masks']}"
        f"  {figures['median_milliseconds']:6.1f} ms  {figures['model_bytes'] / 1e6:7.1f} MB{lost}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
