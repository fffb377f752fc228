"""A recording of the reference: its network, and the arrays that went in and came out."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lisa_ros.evaluation.parity.comparison import Arrays, Findings
from lisa_ros.model.checkpoints import require_matching
from lisa_ros.model.configuration import CONFIG_FILE
from lisa_ros.model.image_processing import ImageProcessor
from lisa_ros.model.modeling import ImageInputs, LisaModel
from lisa_ros.model.official import UnknownKeyError, reference_config, translated_weights

WEIGHTS_FILE = "weights.safetensors"
PREPARED = ("resize_hw", "original_hw", "clip_pixel_values", "sam_input")
"""What a recording may have of an image as it was prepared."""


class ParityError(RuntimeError):
    """A folder is not a recording of the reference; the message is one sentence."""


def recorded_model(folder: Path) -> LisaModel:
    """Return the network of a recording in fp32.

    Raises ``ParityError``, ``CheckpointError`` or ``ConfigurationError``.
    """
    try:
        config = reference_config(json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")))
        stored = load_file(folder / WEIGHTS_FILE)
        weights = translated_weights({key: _in_fp32(value) for key, value in stored.items()}, config)
    except (OSError, ValueError, TypeError, SafetensorError, UnknownKeyError) as error:
        raise ParityError(f"{folder} is not a recording of the reference: {error}.") from error
    model = LisaModel(config)
    require_matching(model, weights, folder)
    model.load_state_dict(weights)
    return model.eval()


def _in_fp32(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def read_arrays(path: Path) -> Arrays:
    """Read all arrays of an ``.npz`` without unpickling anything; raises ``ParityError``."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise ParityError(f"{path} cannot be read as arrays: {error}.") from error


def cases_of(*arrays: Arrays) -> list[str]:
    """Return the names of all cases in arrays called ``CASE.NAME``."""
    return list(dict.fromkeys(name.split(".")[0] for group in arrays for name in group))


def of_case(arrays: Arrays, case: str) -> Arrays:
    """Return the arrays of one case by their own names."""
    start = f"{case}."
    return {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}


def required(arrays: Arrays, name: str, case: str) -> NDArray[Any]:
    """Return an array; raises ``ParityError`` when the case has none of that name."""
    if name not in arrays:
        raise ParityError(f"The recording of {case} has no {name}.")
    return arrays[name]


@contextmanager
def fitting(case: str) -> Iterator[None]:
    """Turn what the network makes of arrays that do not fit it (shapes, ids) into a ``ParityError``."""
    try:
        yield
    except ParityError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, RuntimeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise ParityError(f"The recording of {case} does not fit its network: {reason}.") from error


def prepared_image(model: LisaModel, given: Arrays, case: str, findings: Findings) -> ImageInputs:
    """Prepare the raw image of a case and compare that with the prepared one, where the recording has it."""
    images = ImageProcessor(model.config)(required(given, "image", case))
    produced = {
        "clip_pixel_values": images.pixel_values.numpy(),
        "sam_input": images.mask_pixel_values.numpy(),
        "resize_hw": np.array(images.resized_sizes[0]),
        "original_hw": np.array(images.original_sizes[0]),
    }
    findings.compare(case, produced, {name: given[name] for name in PREPARED if name in given})
    return images
