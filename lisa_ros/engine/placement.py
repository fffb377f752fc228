"""Where a network runs and in what precision, by the names that users give."""

from __future__ import annotations

import torch

from lisa_ros.segmenter import SegmenterError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def chosen_device(name: str) -> torch.device:
    """Return the device called ``name``; "auto" is CUDA when there is one. Raises ``SegmenterError``."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SegmenterError(f"device is {name!r}; valid are auto, cpu, cuda and cuda:N.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SegmenterError(f"device is {name!r}, but torch finds no CUDA device here; choose cpu or auto.")
    return device


def chosen_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype called ``name``; "auto" is bfloat16 on CUDA, else float32. Raises ``SegmenterError``."""
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise SegmenterError(f"dtype is {name!r}; choose one of auto, {', '.join(DTYPES)}.")
    return DTYPES[name]
