"""The arguments of ``lisa eval``: a benchmark, what is evaluated on it, and what is written."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from lisa_ros.evaluation.benchmark import MAX_NEW_TOKENS, MODES
from lisa_ros.simulation.requests.sampling import RequestSplit

REASONSEG_SPLITS = ("train", "val", "test")
REFCOCO_SPLIT = "refcoco|unc|val"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lisa eval``."""
    benchmarks = parser.add_subparsers(dest="benchmark", required=True, metavar="BENCHMARK")
    reasonseg = benchmarks.add_parser(
        "reasonseg",
        help="implicit requests about photographs (ReasonSeg)",
        epilog="The id of a case is the name of its image without .jpg.",
    )
    _add_data(reasonseg)
    reasonseg.add_argument("--split", choices=REASONSEG_SPLITS, default="val", help="(default: %(default)s)")
    refcoco = benchmarks.add_parser(
        "refcoco",
        help="referring expressions (refCOCO, refCOCO+, refCOCOg, gRefCOCO)",
        epilog="The id of a case is IMAGE-R-S: the name of the image, the number of the referent in it and that of the "
        "sentence about the referent, in the order of the annotations and from 0.",
    )
    _add_data(refcoco)
    refcoco.add_argument(
        "--split",
        default=REFCOCO_SPLIT,
        help='"DATASET|AUTHORS|SPLIT", such as "refcocog|umd|test" or "grefcoco|unc|val" (default: %(default)s)',
    )
    tabletop = benchmarks.add_parser(
        "tabletop",
        help="requests about simulated frames with known objects",
        epilog="The id of a case is FRAME-N: the six digits of the frame and the number of the request, from 0.",
    )
    _add_frames(tabletop)
    for benchmark in (reasonseg, refcoco, tabletop):
        _add_system(benchmark)
        _add_predictions(benchmark)
        _add_results(benchmark)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder that holds reason_seg/ and refer_seg/")
    parser.add_argument(
        "--plain",
        action="store_true",
        help="ask with the text of the data set alone, without the paper's request for a mask (other backends)",
    )


def _add_frames(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--frames", type=Path, required=True, help="folder that `lisa simulate` made")
    parser.add_argument(
        "--split",
        choices=[split.value for split in RequestSplit],
        default=RequestSplit.TRAIN.value,
        help="which wordings: seen in training, in new templates, or new meanings (default: %(default)s)",
    )
    parser.add_argument("--requests-per-frame", type=int, default=3)


def _add_system(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="", help="checkpoint folder (default: the embedded one)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16 (default: %(default)s)")
    parser.add_argument("--quantization", choices=("none", "8bit", "4bit"), default="none")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for torch's own choice")
    parser.add_argument("--backend", default="lisa", help="another segmenter, such as two_stage (default: %(default)s)")
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="an option of the backend; repeatable"
    )
    parser.add_argument(
        "--mode",
        choices=sorted(MODES, reverse=True),
        default="free",
        help="generate the answer, or force a mask first as the paper's validation does (default: %(default)s)",
    )
    parser.add_argument("--max-new-tokens", type=int, default=MAX_NEW_TOKENS, help="longest answer in free mode")
    parser.add_argument("--limit", type=int, help="only the first so many cases")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of drawn requests and of the report's random pictures"
    )


def _add_predictions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--predictions",
        type=Path,
        metavar="FOLDER",
        help="score these masks instead of a model's: ID.png for every case that --list names, one channel, 0 off the "
        "mask and one other value on it (0 and 1, or 0 and 255)",
    )
    parser.add_argument("--missing", choices=("error", "empty"), default="error", help="what a missing mask counts as")
    parser.add_argument("--name", default="", help="name of the system that made the predictions, for the figures")
    parser.add_argument("--list", action="store_true", help="print id, image and request of every case, and stop")
    parser.add_argument("--save-predictions", type=Path, metavar="FOLDER", help="write all masks in that form")


def _add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=Path, help="write every outcome here as it comes, one JSON object a line")
    parser.add_argument("--resume", action="store_true", help="go on with the file of --rows")
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="write a report with pictures here")
    parser.add_argument(
        "--beside",
        type=Path,
        action="append",
        default=[],
        metavar="ROWS",
        help="rows of another run whose figures the report shows too, such as those of the other mode; repeatable",
    )


def command_line(arguments: argparse.Namespace) -> str:
    """Return the command that these arguments came from, with every value that is set."""
    words = ["lisa", "eval", arguments.benchmark]
    for name, value in vars(arguments).items():
        if name in ("command", "benchmark") or value in (None, False, "", []):
            continue
        for item in value if isinstance(value, list) else [value]:
            words += [f"--{name.replace('_', '-')}", *([] if item is True else [str(item)])]
    return shlex.join(words)
