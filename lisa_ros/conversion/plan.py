"""What becomes of every tensor of a source: its name here and its file, or why it is left out; strictly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from huggingface_hub import split_torch_state_dict_into_shards

from lisa_ros.conversion.errors import ConversionError
from lisa_ros.conversion.reader import StoredTensor
from lisa_ros.model.checkpoint_folder import MODEL_FILE, listed
from lisa_ros.model.configuration import LisaConfig
from lisa_ros.model.modeling import TIED_HEAD, LisaModel
from lisa_ros.model.official import UnknownKeyError, official_key, translated_key, unread_reason

TYPES = ("float16", "bfloat16", "float32")
VISION_TOWER = "model.vision_tower.vision_tower.vision_model."
VISION_PARTS = ("embeddings.", "pre_layrnorm.", "encoder.", "post_layernorm.")
TEXT_PARTS = ("text_model.", "text_projection.", "visual_projection.", "logit_scale", "text_embeds", "image_embeds")
GROWING = ("model.embed_tokens.weight", "lm_head.weight")
"""Matrices with one row a token."""


@dataclass(slots=True)
class OfficialTensors:
    """The tensors of all sources under their official names, and what was left out: reason -> names."""

    tensors: dict[str, StoredTensor]
    left_out: dict[str, list[str]] = field(default_factory=dict)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor."""
        return {name: tensor.shape for name, tensor in self.tensors.items()}

    @property
    def has_vision_tower(self) -> bool:
        """Whether the checkpoint brings CLIP's weights itself."""
        return any(name.startswith("model.vision_tower.") for name in self.tensors)

    def leave_out(self, reason: str, name: str) -> None:
        """Note a tensor that is not converted."""
        self.left_out.setdefault(reason, []).append(name)

    def add_vision_tower(self, tensors: Mapping[str, StoredTensor]) -> None:
        """Add CLIP's vision part, whose names may begin with ``vision_model.``; its text part is left out."""
        for name, tensor in tensors.items():
            bare = name.removeprefix("vision_model.")
            if bare.startswith(VISION_PARTS):
                self.tensors[VISION_TOWER + bare] = tensor
            elif name.startswith(TEXT_PARTS):
                self.leave_out("CLIP's language side, which LISA does not have", name)
            else:
                self.tensors[f"{VISION_TOWER}{name}"] = tensor

    def add_segment_anything(self, tensors: Mapping[str, StoredTensor]) -> None:
        """Add the weights of SAM as they are published, named without a prefix."""
        self.tensors |= {f"model.visual_model.{name}": tensor for name, tensor in tensors.items()}


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """One tensor of the target: its name, where it comes from, and how many rows it shall have if that changes."""

    name: str
    stored: StoredTensor
    rows: int | None = None

    @property
    def outline(self) -> torch.Tensor:
        """The tensor on the meta device."""
        shape = self.stored.shape if self.rows is None else (self.rows, *self.stored.shape[1:])
        return torch.empty(shape, dtype=getattr(torch, self.stored.dtype), device="meta")


def planned_tensors(official: OfficialTensors, config: LisaConfig, *, rows: int | None = None) -> list[PlannedTensor]:
    """Return what the target holds, and note in ``official`` what it does not; ``rows`` is a vocabulary that grows.

    Raises ``ConversionError`` that lists every tensor that is missing, unexpected, or of another shape or type than the
    network that ``config`` describes.
    """
    planned: dict[str, PlannedTensor] = {}
    complaints: list[str] = []
    for name, stored in official.tensors.items():
        reason = unread_reason(name, config.vision)
        if reason is not None:
            official.leave_out(reason, stored.name)
            continue
        try:
            ours = translated_key(name)
        except UnknownKeyError:
            complaints.append(f"unexpected: {name} {list(stored.shape)}")
            continue
        if ours in planned:
            complaints.append(f"unexpected: {name}, beside {planned[ours].stored.name}")
        planned[ours] = PlannedTensor(ours, stored, rows if name in GROWING else None)
    _require_fitting(planned, config, complaints)
    return list(planned.values())


def _require_fitting(planned: Mapping[str, PlannedTensor], config: LisaConfig, complaints: list[str]) -> None:
    expected = _expected_shapes(config)
    strangers = [planned[name].stored for name in sorted(set(planned) - set(expected))]
    complaints += [f"unexpected: {stored.name} {list(stored.shape)}" for stored in strangers]
    complaints += [
        f"missing: {official_key(name)} {list(expected[name])}" for name in sorted(set(expected) - set(planned))
    ]
    for name in sorted(set(expected) & set(planned)):
        stored = planned[name].stored
        if stored.dtype not in TYPES:
            complaints.append(f"of another type: {stored.name} {stored.dtype}")
        elif tuple(planned[name].outline.shape) != expected[name]:
            complaints.append(f"of another shape: {stored.name} {list(stored.shape)} for {list(expected[name])}")
    if complaints:
        raise ConversionError(_counted(complaints), complaints)


def _expected_shapes(config: LisaConfig) -> dict[str, tuple[int, ...]]:
    try:
        with torch.device("meta"):
            model = LisaModel(config)
    except (AssertionError, ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        raise ConversionError(f"The network that the configuration describes cannot be built ({error}).") from error
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    if config.language.tie_word_embeddings:
        shapes.pop(TIED_HEAD, None)
    return shapes


def _counted(complaints: list[str]) -> str:
    kinds = [complaint.split(":")[0] for complaint in complaints]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    return (
        f"The weights are not those of the network that the configuration describes ({counts}): "
        f"{listed(complaints)}; use the files of one checkpoint."
    )


def target_files(planned: Iterable[PlannedTensor], shard_size: int | str) -> dict[str, list[PlannedTensor]]:
    """Divide the tensors, in their order, among files of ``shard_size`` at most (bytes, or text such as "1GB").

    Raises ``ConversionError`` for a size that cannot be read.
    """
    by_name = {tensor.name: tensor for tensor in planned}
    try:
        split = split_torch_state_dict_into_shards(
            {name: tensor.outline for name, tensor in by_name.items()},
            filename_pattern=MODEL_FILE.replace(".", "{suffix}."),
            max_shard_size=shard_size,
        )
    except ValueError as error:
        raise ConversionError(f"The shard size is {shard_size!r}; give a size such as 500MB or 1GB.") from error
    return {file: [by_name[name] for name in names] for file, names in split.filename_to_tensors.items()}


def size_in_bytes(tensors: Iterable[PlannedTensor]) -> int:
    """Return how many bytes tensors take."""
    return sum(tensor.outline.nbytes for tensor in tensors)
