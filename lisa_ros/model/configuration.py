"""The configuration of LISA: every size and token id of the network, for the official and the embedded checkpoints."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

CONFIG_FILE = "config.json"
MODEL_TYPE = "lisa_ros"
CONVERSATIONS = ("llava_v1", "llava_llama_2", "tabletop")
FIELDS_OF_VIEW = ("crop", "pad")
PROJECTORS = ("linear", "mlp2x_gelu")

Part = TypeVar("Part")


class ConfigurationError(ValueError):
    """A configuration is not valid; the message quotes the value received and says what would be valid."""


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
        if self.hidden_size % self.num_attention_heads:
            raise ConfigurationError(
                f"hidden_size is {self.hidden_size}; it must be a multiple of num_attention_heads, "
                f"{self.num_attention_heads}."
            )


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
        if not -self.num_hidden_layers <= self.select_layer <= -1:
            raise ConfigurationError(
                f"select_layer is {self.select_layer}; it must lie in [{-self.num_hidden_layers}, -1]."
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
        if any(side % 32 or side <= 0 for side in self.image_size):
            raise ConfigurationError(f"image_size is {list(self.image_size)}; both sides must be multiples of 32.")

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
    projector: str = "linear"
    conversation: str = "llava_v1"
    field_of_view: str = "crop"
    name: str = "lisa"

    def __post_init__(self) -> None:
        _require_one_of("projector", self.projector, PROJECTORS)
        _require_one_of("conversation", self.conversation, CONVERSATIONS)
        _require_one_of("field_of_view", self.field_of_view, FIELDS_OF_VIEW)
        for name, token in asdict(self.tokens).items():
            if token is not None and not 0 <= token < self.language.vocab_size:
                raise ConfigurationError(
                    f"tokens.{name} is {token}; it must lie in [0, vocab_size) = [0, {self.language.vocab_size})."
                )
        if self.image_encoder is None and not isinstance(self.vision, PyramidConfig):
            raise ConfigurationError("image_encoder is missing; only a pyramid serves the mask decoder as well.")

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
        values = dict(values)
        model_type = values.pop("model_type", None)
        if model_type != MODEL_TYPE:
            raise ConfigurationError(
                f"model_type is {model_type!r}; this package reads {MODEL_TYPE!r}. "
                "An official LISA checkpoint must be converted first."
            )
        vision = dict(values.pop("vision", {}))
        vision_type = vision.pop("type", None)
        _require_one_of("vision.type", vision_type, ("clip", "pyramid"))
        image_encoder, request_encoder = values.pop("image_encoder", None), values.pop("request_encoder", None)
        return _build(
            cls,
            "",
            values
            | {
                "language": _build(LanguageConfig, "language.", values.get("language", {})),
                "vision": _build(ClipVisionConfig if vision_type == "clip" else PyramidConfig, "vision.", vision),
                "image_encoder": image_encoder and _build(SamVitConfig, "image_encoder.", image_encoder),
                "mask_decoder": _build(MaskDecoderConfig, "mask_decoder.", values.get("mask_decoder", {})),
                "request_encoder": request_encoder
                and _build(RequestEncoderConfig, "request_encoder.", request_encoder),
                "tokens": _build(TokenConfig, "tokens.", values.get("tokens", {})),
            },
        )

    @classmethod
    def from_folder(cls, folder: Path) -> LisaConfig:
        """Read ``config.json`` of a checkpoint folder; raises ``ConfigurationError``."""
        path = folder / CONFIG_FILE
        try:
            return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ConfigurationError(f"{path} cannot be read as a configuration: {error}.") from error

    def save(self, folder: Path) -> None:
        """Write ``config.json`` into a checkpoint folder."""
        (folder / CONFIG_FILE).write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")


def _require_one_of(name: str, value: object, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise ConfigurationError(f"{name} is {value!r}; choose one of {', '.join(valid)}.")


def _build(part: type[Part], prefix: str, values: dict[str, Any]) -> Part:
    known = {entry.name for entry in fields(part)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigurationError(f"{prefix}{unknown[0]} is not known; valid are {', '.join(sorted(known))}.")
    try:
        return part(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    except TypeError as error:
        raise ConfigurationError(f"{prefix or 'the configuration'} is not complete: {error}.") from error
