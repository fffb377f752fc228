"""Models and processors of transformers, from local folders or the hub: strict, safetensors only, errors as sentences.

Every picture is prepared by the PIL image processors, so that the figures are the same with and without torchvision.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

from lisa_ros.segmenter import SegmenterError

LISTED_KEYS = 5


def load_config(source: str, role: str) -> Any:
    """Return the configuration of a model; ``role`` names it in errors. Raises ``SegmenterError``."""
    if not source:
        raise SegmenterError(f"No {role} is named; give a local folder or an id of the Hugging Face hub.")
    looks_like_path = Path(source).is_absolute() or source.startswith(("~", ".")) or source.count("/") > 1
    if looks_like_path and not _folder(source):
        raise SegmenterError(f"The folder {source} of the {role} does not exist.")
    try:
        return AutoConfig.from_pretrained(_folder(source) or source)
    except Exception as error:
        raise _unloadable(source, role, error) from error


def load_model(
    model_class: Any, source: str, role: str, *, device: torch.device, dtype: torch.dtype = torch.float32
) -> Any:
    """Load the weights by an (auto) class of transformers; raises ``SegmenterError`` when any are missing."""
    try:
        model, report = model_class.from_pretrained(
            _folder(source) or source, dtype=dtype, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:
        raise _unloadable(source, role, error) from error
    missing = sorted(report["missing_keys"])
    if missing:
        more = f" and {len(missing) - LISTED_KEYS} more" if len(missing) > LISTED_KEYS else ""
        raise SegmenterError(
            f"The {role} {source} lacks {len(missing)} weights of a {type(model).__name__}: "
            f"{', '.join(missing[:LISTED_KEYS])}{more}; it is damaged or of another kind."
        )
    return model.to(device).eval()


def load_processor(source: str, role: str, config: Any) -> Any:
    """Return the processor that belongs to ``config``, made of its tokenizer and its PIL image processor.

    A part for videos is left out: it needs torchvision and no video is ever shown. Raises ``SegmenterError``.
    """
    where = _folder(source) or source
    makers = {
        "image_processor": lambda: AutoImageProcessor.from_pretrained(where, backend="pil"),
        "tokenizer": lambda: AutoTokenizer.from_pretrained(where),
        "video_processor": lambda: None,
    }
    try:
        processor_class = _for_pictures(PROCESSOR_MAPPING[type(config)])
        values, _ = processor_class.get_processor_dict(where)
        return processor_class.from_args_and_dict([makers[name]() for name in processor_class.get_attributes()], values)
    except Exception as error:
        raise _unloadable(source, role, error) from error


def _for_pictures(processor_class: Any) -> Any:
    """Return a processor class that accepts that its part for videos is missing."""

    class ForPictures(processor_class):
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            return None if argument is None else super().check_argument_for_proper_class(argument_name, argument)

    return ForPictures


def on_device(inputs: Any, model: nn.Module) -> dict[str, Any]:
    """Return prepared inputs on the device of ``model``, floating-point tensors in its dtype."""
    weight = next(model.parameters())
    return {
        name: value.to(weight.device, weight.dtype if value.is_floating_point() else None)
        if isinstance(value, torch.Tensor)
        else value
        for name, value in inputs.items()
    }


def short_name(source: str) -> str:
    """Return the last part of a folder or id, by which reports name a model."""
    return Path(source).expanduser().resolve().name if _folder(source) else source.rstrip("/").rpartition("/")[2]


def _folder(source: str) -> str:
    """Return ``source`` as a folder that exists, else an empty string (so it is an id)."""
    path = Path(source).expanduser()
    return str(path) if path.is_dir() else ""


def _unloadable(source: str, role: str, error: Exception) -> SegmenterError:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if isinstance(error, KeyError):
        reason = f"transformers knows no {reason} for it, or none that works with pictures alone"
    if not _folder(source) and isinstance(error, OSError):
        offline = os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE")
        state = "HF_HUB_OFFLINE is set" if offline else "the hub did not give it"
        reason = f"there is no such folder, it is not in the Hugging Face cache and {state} ({reason.rstrip('.')})"
    return SegmenterError(f"The {role} {source} cannot be loaded: {reason.rstrip('.')}.")
