"""The command ``lisa ask``: one picture, one request or a conversation, and the answers; needs no ROS."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lisa_ros.answers import Answer, Finished, Mode, Request, Turn, Verdict
from lisa_ros.model_folder import find_model
from lisa_ros.segmenter import SegmenterError, make_segmenter

TINT = np.array([255, 64, 32], np.float32)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lisa ask``."""
    parser.add_argument("image", type=Path, help="a picture")
    parser.add_argument("request", help="what to look for, in plain words")
    parser.add_argument(
        "--then",
        metavar="REQUEST",
        action="append",
        default=[],
        help="a further request in the same conversation; may be repeated (the embedded checkpoint answers one only)",
    )
    parser.add_argument("--model", default="", help="checkpoint folder (default: the embedded one)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16 (default: %(default)s)")
    parser.add_argument("--quantization", default="none", help="none, 8bit or 4bit (default: %(default)s)")
    parser.add_argument("--mask-first", action="store_true", help="a mask alone, without words")
    parser.add_argument("--overlay", type=Path, help="write the picture with the masks of the last answer here")
    parser.add_argument("--mask", type=Path, help="write the united mask of the last answer here, 255 on the objects")


def run(arguments: argparse.Namespace) -> int:
    """Ask, print every answer and write the pictures; returns the exit code, 1 when an answer failed."""
    try:
        rgb = _read(arguments.image)
        answer = _converse(rgb, arguments)
        _write_pictures(arguments, rgb, answer)
    except (ValueError, SegmenterError) as error:
        print(f"lisa ask: {error}", file=sys.stderr)
        return 1
    return 0


def _converse(rgb: NDArray[np.uint8], arguments: argparse.Namespace) -> Answer:
    """Ask all requests, each after the turns before it; returns the last answer."""
    mode = Mode.MASK_FIRST if arguments.mask_first else Mode.AUTO
    requests = [Request(text, mode) for text in (arguments.request, *arguments.then)]
    segmenter = make_segmenter(
        "lisa",
        model=find_model(arguments.model),
        device=arguments.device,
        dtype=arguments.dtype,
        quantization=arguments.quantization,
    )
    view = segmenter.look(rgb)
    history: tuple[Turn, ...] = ()
    for request in requests:
        *_, last = segmenter.ask(view, replace(request, history=history))
        assert isinstance(last, Finished)
        answer = last.answer
        if answer.verdict is Verdict.FAILED:
            raise SegmenterError(answer.error)
        _print(answer)
        history = (*history, Turn(request.text, answer.transcript))
    return answer


def _read(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if image is None:
        raise ValueError(f"{path} cannot be read as a picture.")
    return np.ascontiguousarray(image[:, :, ::-1], np.uint8)


def _print(answer: Answer) -> None:
    print(answer.words or "(no words)")
    print(f"verdict: {answer.verdict.value}, {answer.timings['total']:.0f} ms")
    for found in answer.objects:
        print(f"mask: {found.label or 'unnamed'}, box {list(found.box)}, {found.area} pixels, score {found.score:.2f}")


def _write_pictures(arguments: argparse.Namespace, rgb: NDArray[np.uint8], answer: Answer) -> None:
    mask = np.zeros(rgb.shape[:2], bool)
    for found in answer.objects:
        mask |= found.mask
    if arguments.mask:
        _write(arguments.mask, mask.astype(np.uint8) * 255)
    if arguments.overlay:
        picture = rgb.astype(np.float32)
        picture[mask] = 0.5 * picture[mask] + 0.5 * TINT
        _write(arguments.overlay, picture.astype(np.uint8)[:, :, ::-1])


def _write(path: Path, picture: NDArray[np.uint8]) -> None:
    if not cv2.haveImageWriter(path.name) or not path.absolute().parent.is_dir() or not cv2.imwrite(str(path), picture):
        raise ValueError(f"{path} cannot be written; name a .png or .jpg file in a folder that exists.")
