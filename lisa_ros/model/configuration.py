"""The configuration of LISA: every size and token id of the network, for the official and the embedded checkpoints."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lisa_ros.model.configuration_checks import (
    ConfigurationError,
    build_part,
    require_multiple,
    require_one_of,
    require_sizes,
)

CONFIG_FILE = "config.json"
MODEL_TYPE = "lisa_ros"
CONVERSATIONS = ("llava_v1", "llava_llama_2", "tabletop")
FIELDS_OF_VIEW = ("crop", "pad")
PROJECTORS = ("linear", "mlp2x_gelu")
ACTIVATIONS = ("silu", "gelu", "quick_gelu", "relu")


@dataclass(frozen=True, slots=True)
class LanguageConfig:
    """The Llama that reads and writes; names as in transformers' ``LlamaConfig``."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int | None = None
    rms_norm_eps: float = 1e-6
    max_position_embeddings: int = 2048
    hidden_act: str = "silu"
    rope_theta: float = 10000.0
    tie_word_embeddings: bool = False

    def __post_init__(self) -> None:
        require_sizes("language.", self)
        require_multiple("language.", self, "hidden_size", "num_attention_heads")
        if self.num_key_value_heads is not None:
            require_multiple("language.", self, "num_attention_heads", "num_key_value_heads")
        require_one_of("language.hidden_act", self.hidden_act, ACTIVATIONS)


@dataclass(frozen=True, slots=True)
class ClipVisionConfig:
    """CLIP's vision transformer as the eye of the language model (official checkpoints: ViT-L/14 at 224)."""

    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    image_size: int = 224
    patch_size: int = 14
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    select_layer: int = -2

    def __post_init__(self) -> None:
        require_sizes("vision.", self)
        require_multiple("vision.", self, "hidden_size", "num_attention_heads")
        require_multiple("vision.", self, "image_size", "patch_size")
        require_one_of("vision.hidden_act", self.hidden_act, ACTIVATIONS)
        if not -self.num_hidden_layers <= self.select_layer <= -1:
            raise ConfigurationError(
                f"vision.select_layer is {self.select_layer}; it must lie in [{-self.num_hidden_layers}, -1]."
            )

    @property
    def num_image_tokens(self) -> int:
        """How many visual tokens the language model gets."""
        return (self.image_size // self.patch_size) ** 2


@dataclass(frozen=True, slots=True)
class SamVitConfig:
    """SAM's image encoder as the eye of the mask decoder (official checkpoints: ViT-H at 1024)."""

    image_size: int = 1024
    patch_size: int = 16
    embed_dim: int = 1280
    depth: int = 32
    num_heads: int = 16
    global_attn_indexes: tuple[int, ...] = (7, 15, 23, 31)
    window_size: int = 14
    mlp_ratio: float = 4.0

    def __post_init__(self) -> None:
        require_sizes("image_encoder.", self)
        require_multiple("image_encoder.", self, "embed_dim", "num_heads")
        require_multiple("image_encoder.", self, "image_size", "patch_size")

    @property
    def input_size(self) -> tuple[int, int]:
        """``(height, width)`` of the padded input in pixels."""
        return (self.image_size, self.image_size)

    @property
    def embedding_size(self) -> tuple[int, int]:
        """``(height, width)`` of the image embedding."""
        return (self.image_size // self.patch_size, self.image_size // self.patch_size)


@dataclass(frozen=True, slots=True)
class PyramidConfig:
    """EfficientNet-Lite0 with a feature pyramid: one small eye for the language model and the mask decoder."""

    image_size: tuple[int, int] = (288, 384)
    token_channels: int = 256
    mask_channels: tuple[int, int, int] = (24, 48, 192)

    def __post_init__(self) -> None:
        require_sizes("vision.", self)
        if any(side % 32 or side <= 0 for side in self.image_size):
            raise ConfigurationError(
                f"vision.image_size is {list(self.image_size)}; both sides must be multiples of 32."
            )

    @property
    def input_size(self) -> tuple[int, int]:
        """``(height, width)`` of the padded input in pixels."""
        return self.image_size

    @property
    def embedding_size(self) -> tuple[int, int]:
        """``(height, width)`` of the image embedding, at stride 16."""
        return (self.image_size[0] // 16, self.image_size[1] // 16)

    @property
    def num_image_tokens(self) -> int:
        """How many visual tokens the language model gets, at stride 32."""
        return (self.image_size[0] // 32) * (self.image_size[1] // 32)


@dataclass(frozen=True, slots=True)
class MaskDecoderConfig:
    """SAM's prompt encoder and two-way mask decoder.

    ``high_resolution`` adds the pyramid's finer features while the embedding is upscaled (as SAM 2 does);
    official checkpoints have none. ``num_multimask_outputs`` is 3 in SAM; LISA uses mask token 0 only.
    """

    embed_dim: int = 256
    depth: int = 2
    mlp_dim: int = 2048
    num_heads: int = 8
    num_multimask_outputs: int = 3
    iou_head_hidden_dim: int = 256
    high_resolution: bool = False

    def __post_init__(self) -> None:
        require_sizes("mask_decoder.", self)
        require_multiple("mask_decoder.", self, "embed_dim", "num_heads")


@dataclass(frozen=True, slots=True)
class AcceptanceConfig:
    """Which masks count as found; the default accepts every pixel, as the reference does.

    Components smaller than ``smallest_component`` of the largest one are dropped, then masks smaller than
    ``smallest_mask`` of the image are emptied. A checkpoint that can refuse does so where its first mask is empty or
    scores less than ``least_score``. All three lie in [0, 1].
    """

    smallest_component: float = 0.0
    smallest_mask: float = 0.0
    least_score: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0.0 <= value <= 1.0:
                raise ConfigurationError(f"acceptance.{name} is {value}; it must lie in [0, 1].")


@dataclass(frozen=True, slots=True)
class RequestEncoderConfig:
    """A frozen BERT whose token states enter the language model in place of plain word embeddings."""

    vocab_size: int = 30522
    hidden_size: int = 384
    num_hidden_layers: int = 6
    num_attention_heads: int = 12
    intermediate_size: int = 1536
    max_position_embeddings: int = 512
    max_request_tokens: int = 64

    def __post_init__(self) -> None:
        require_sizes("request_encoder.", self)
        require_multiple("request_encoder.", self, "hidden_size", "num_attention_heads")


@dataclass(frozen=True, slots=True)
class TokenConfig:
    """Ids of the tokens with a meaning of their own.

    ``rejection`` (``[REJ]``: the target is not in the image) exists in the embedded checkpoint only;
    ``image_start`` and ``image_end`` in the official ones only.
    """

    seg: int
    bos: int = 1
    eos: int = 2
    pad: int = 0
    rejection: int | None = None
    image_start: int | None = None
    image_end: int | None = None


@dataclass(frozen=True, slots=True)
class LisaConfig:
    """All of LISA. ``image_encoder`` is ``None`` when the pyramid serves the mask decoder too."""

    language: LanguageConfig
    vision: ClipVisionConfig | PyramidConfig
    image_encoder: SamVitConfig | None
    tokens: TokenConfig
    mask_decoder: MaskDecoderConfig = field(default_factory=MaskDecoderConfig)
    request_encoder: RequestEncoderConfig | None = None
    acceptance: AcceptanceConfig = field(default_factory=AcceptanceConfig)
    projector: str = "linear"
    conversation: str = "llava_v1"
    field_of_view: str = "crop"
    name: str = "lisa"

    def __post_init__(self) -> None:
        require_one_of("projector", self.projector, PROJECTORS)
        require_one_of("conversation", self.conversation, CONVERSATIONS)
        require_one_of("field_of_view", self.field_of_view, FIELDS_OF_VIEW)
        for name, token in asdict(self.tokens).items():
            if token is not None and not 0 <= token < self.language.vocab_size:
                raise ConfigurationError(
                    f"tokens.{name} is {token}; it must lie in [0, vocab_size) = [0, {self.language.vocab_size})."
                )
        if self.image_encoder is None and not isinstance(self.vision, PyramidConfig):
            raise ConfigurationError("image_encoder is missing; only a pyramid serves the mask decoder as well.")
        if self.conversation == "tabletop" and self.request_encoder is None:
            raise ConfigurationError("request_encoder is missing; the conversation 'tabletop' goes through one.")

    @property
    def mask_vision(self) -> SamVitConfig | PyramidConfig:
        """The part that the mask decoder sees with."""
        if self.image_encoder is not None:
            return self.image_encoder
        assert isinstance(self.vision, PyramidConfig)
        return self.vision

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        values = asdict(self)
        values["model_type"] = MODEL_TYPE
        values["vision"]["type"] = "pyramid" if isinstance(self.vision, PyramidConfig) else "clip"
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LisaConfig:
        """Build the configuration from plain JSON values; raises ``ConfigurationError``."""
        if not isinstance(values, dict):
            raise ConfigurationError(f"The configuration is {values!r}; it must hold named values.")
        values = dict(values)
        model_type = values.pop("model_type", None)
        if model_type != MODEL_TYPE:
            raise ConfigurationError(
                f"model_type is {model_type!r}; this package reads {MODEL_TYPE!r}. "
                "An official LISA checkpoint must be converted first."
            )
        vision = values.get("vision")
        vision = dict(vision) if isinstance(vision, dict) else {}
        vision_type = vision.pop("type", None)
        require_one_of("vision.type", vision_type, ("clip", "pyramid"))
        values["vision"] = build_part(ClipVisionConfig if vision_type == "clip" else PyramidConfig, "vision.", vision)
        for name, part in PARTS.items():
            if values.get(name) is not None:
                values[name] = build_part(part, f"{name}.", values[name])
        return build_part(cls, "", values)

    def save(self, folder: Path) -> None:
        """Write ``config.json`` into a checkpoint folder."""
        (folder / CONFIG_FILE).write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")


PARTS: dict[str, type] = {
    "language": LanguageConfig,
    "image_encoder": SamVitConfig,
    "mask_decoder": MaskDecoderConfig,
    "request_encoder": RequestEncoderConfig,
    "tokens": TokenConfig,
    "acceptance": AcceptanceConfig,
}
"""The parts of ``LisaConfig`` of which there is one kind."""
