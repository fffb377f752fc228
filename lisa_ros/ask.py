"""The command ``lisa ask``: one picture, one request, one answer; needs no ROS."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lisa_ros.answers import Answer, Finished, Mode, Request
from lisa_ros.model_folder import find_model
from lisa_ros.segmenter import SegmenterError, make_segmenter

TINT = np.array([255, 64, 32], np.float32)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lisa ask``."""
    parser.add_argument("image", type=Path, help="a picture")
    parser.add_argument("request", help="what to look for, in plain words")
    parser.add_argument("--model", default="", help="checkpoint folder (default: the embedded one)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--mask-first", action="store_true", help="a mask alone, without words")
    parser.add_argument("--overlay", type=Path, help="write the picture with the masks here")
    parser.add_argument("--mask", type=Path, help="write the united mask here, 255 on the objects")


def run(arguments: argparse.Namespace) -> int:
    """Ask once and print the answer; returns the exit code."""
    try:
        rgb = _read(arguments.image)
        request = Request(arguments.request, Mode.MASK_FIRST if arguments.mask_first else Mode.AUTO)
        segmenter = make_segmenter("lisa", model=find_model(arguments.model), device=arguments.device)
    except (ValueError, SegmenterError) as error:
        print(f"lisa ask: {error}", file=sys.stderr)
        return 1
    events = list(segmenter.ask(segmenter.look(rgb), request))
    assert isinstance(events[-1], Finished)
    answer = events[-1].answer
    _print(answer)
    try:
        _write_pictures(arguments, rgb, answer)
    except ValueError as error:
        print(f"lisa ask: {error}", file=sys.stderr)
        return 1
    return 0


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
