"""The configuration of the target, from the official ``config.json``, CLIP's, the tokenizer and the weights' shapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lisa_ros.conversion.errors import ConversionError
from lisa_ros.conversion.shapes import Shapes, has_mask_decoder, image_encoder_config, mask_decoder_config
from lisa_ros.conversion.shapes import projector_kind as kind_in_shapes
from lisa_ros.conversion.weight_files import read_json
from lisa_ros.model.checkpoint_folder import CheckpointError
from lisa_ros.model.configuration import CONFIG_FILE, MODEL_TYPE, ClipVisionConfig, LisaConfig, TokenConfig
from lisa_ros.model.configuration_checks import ConfigurationError
from lisa_ros.model.llama_text import LlamaTextProcessor
from lisa_ros.model.llama_tokenizer import LlamaTokenizer
from lisa_ros.model.official import official_clip, official_language

LISA_MARK = "train_mask_decoder"
"""The field of an official ``config.json`` that a plain LLaVA does not have."""
V0_FILES = ("pytorch_model-visual_model.bin", "pytorch_model-text_hidden_fcs.bin")
SEG, IMAGE_MARKERS = "[SEG]", ("<im_start>", "<im_end>")
PUBLISHED = "LISA-7B-v1, LISA-13B-llama2-v1, their explanatory editions or LISA++"


def official_values(folder: Path) -> dict[str, Any]:
    """Read the ``config.json`` of a source; raises ``ConversionError`` for one that is no LISA and no LLaVA."""
    if all((folder / name).is_file() for name in V0_FILES):
        raise ConversionError(
            f"{folder} is a LISA of version 0, another architecture that is not converted; take one of {PUBLISHED}."
        )
    values = read_json(folder / CONFIG_FILE)
    if values.get("model_type") == MODEL_TYPE:
        raise ConversionError(f"{folder} is a model folder of this package already; it can be used as it is.")
    if LISA_MARK not in values and "llava" not in str(values.get("model_type")).lower():
        raise ConversionError(
            f"{folder / CONFIG_FILE} describes a model of type {values.get('model_type')!r}, neither LISA nor LLaVA; "
            f"take one of {PUBLISHED}."
        )
    return values


def require_kind(values: Mapping[str, Any], shapes: Shapes, folder: Path, *, starts_from_llava: bool) -> None:
    """Raise ``ConversionError`` unless a source is what was asked for: a LISA, or a LLaVA to become one."""
    is_lisa = LISA_MARK in values
    lora = [name for name in shapes if "lora_" in name or name.startswith("base_model.")]
    if lora:
        raise ConversionError(f"{folder} holds LoRA weights such as {lora[0]}; merge them into the model first.")
    if starts_from_llava and (is_lisa or has_mask_decoder(shapes)):
        raise ConversionError(f"{folder} is a LISA with a mask decoder of its own; leave out --segment-anything.")
    if not starts_from_llava and not (is_lisa and has_mask_decoder(shapes)):
        lacking = f"no {LISA_MARK} in its {CONFIG_FILE}" if not is_lisa else "no weights of SAM (model.visual_model.*)"
        raise ConversionError(
            f"{folder} has {lacking}: it is a plain LLaVA or a LISA of version 0; take one of {PUBLISHED}, "
            "or begin a new LISA from a LLaVA with --segment-anything sam_vit_h_4b8939.pth."
        )


def vision_tower_name(values: Mapping[str, Any], folder: Path) -> str:
    """Return where CLIP's weights come from if the user does not say; raises ``ConversionError``."""
    name = values.get("vision_tower") or values.get("mm_vision_tower")
    if not isinstance(name, str):
        raise ConversionError(f"{folder / CONFIG_FILE} names no vision tower; name one with --vision-tower.")
    looks_like_a_path = Path(name).is_absolute() or name.startswith((".", "~")) or name.count("/") > 1
    if looks_like_a_path and not Path(name).expanduser().is_dir():
        raise ConversionError(
            f"{folder / CONFIG_FILE} names the vision tower {name}, a folder of another machine; give yours with "
            "--vision-tower FOLDER_OR_ID (published checkpoints use openai/clip-vit-large-patch14)."
        )
    return name


def clip_values(folder: Path) -> dict[str, Any]:
    """Return the vision part of CLIP's own ``config.json``, with what CLIP assumes for what is not there."""
    from transformers import CLIPVisionConfig

    values = read_json(folder / CONFIG_FILE)
    if values.get("model_type") not in ("clip", "clip_vision_model"):
        raise ConversionError(
            f"{folder / CONFIG_FILE} describes a model of type {values.get('model_type')!r} instead of a CLIP; "
            "give the right vision tower with --vision-tower."
        )
    given = values
    if values["model_type"] == "clip":
        given = (values.get("vision_config") or {}) | (values.get("vision_config_dict") or {})
    assumed = CLIPVisionConfig().to_dict()
    return {name: given.get(name, value) for name, value in assumed.items()}


def lisa_config(
    values: Mapping[str, Any],
    clip: Mapping[str, Any],
    shapes: Shapes,
    tokenizer: LlamaTokenizer,
    name: str,
) -> LisaConfig:
    """Return the configuration of the target; raises ``ConversionError``, quoting what does not fit."""
    try:
        config = LisaConfig(
            name=name,
            language=official_language(values),
            vision=_vision(values, clip),
            image_encoder=image_encoder_config(shapes),
            mask_decoder=mask_decoder_config(shapes),
            projector=_projector(values, shapes),
            tokens=_tokens(values, tokenizer, kind_in_shapes(shapes)),
        )
        _require_fitting(values, config, tokenizer)
        return config
    except KeyError as error:
        raise ConversionError(f"The official {CONFIG_FILE} has no field {error}; get it again.") from error
    except (ConfigurationError, CheckpointError) as error:
        raise ConversionError(str(error)) from error
    except TypeError as error:
        raise ConversionError(f"The official {CONFIG_FILE} has a field of a wrong type ({error}).") from error


def _vision(values: Mapping[str, Any], clip: Mapping[str, Any]) -> ClipVisionConfig:
    feature = values.get("mm_vision_select_feature", "patch")
    if feature != "patch":
        raise ConversionError(f"mm_vision_select_feature is {feature!r}; only 'patch' is known.")
    expected = values.get("mm_hidden_size", clip["hidden_size"])
    if expected != clip["hidden_size"]:
        raise ConversionError(
            f"The checkpoint expects a vision tower with {expected} channels (mm_hidden_size) and this one has "
            f"{clip['hidden_size']}; give the right one with --vision-tower."
        )
    return official_clip(clip, select_layer=values.get("mm_vision_select_layer", -2))


def _projector(values: Mapping[str, Any], shapes: Shapes) -> str:
    found = kind_in_shapes(shapes)
    named = values.get("mm_projector_type", found)
    if named != found:
        raise ConversionError(f"mm_projector_type is {named!r}, but the weights are those of a projector {found!r}.")
    return found


def _tokens(values: Mapping[str, Any], tokenizer: LlamaTokenizer, projector: str) -> TokenConfig:
    if SEG not in tokenizer.special:
        raise ConversionError(
            f"The tokenizer has no token {SEG}; its added_tokens.json or tokenizer_config.json is not that of a LISA."
        )
    start, end = _image_markers(values, tokenizer, projector)
    pad = values.get("pad_token_id")
    return TokenConfig(
        seg=tokenizer.special[SEG],
        bos=values["bos_token_id"],
        eos=values["eos_token_id"],
        pad=tokenizer.pieces.unk_id() if pad is None or pad < 0 else pad,
        image_start=start,
        image_end=end,
    )


def _image_markers(
    values: Mapping[str, Any], tokenizer: LlamaTokenizer, projector: str
) -> tuple[int, int] | tuple[None, None]:
    """Return the ids around an image; a LISA on LLaVA-1.5, which has a larger projector, goes without unless told."""
    start, end = (tokenizer.special.get(text) for text in IMAGE_MARKERS)
    wanted = values.get("mm_use_im_start_end", projector == "linear")
    if wanted and start is not None and end is not None:
        return start, end
    if wanted and projector == "linear":
        raise ConversionError(
            f"The checkpoint marks images (mm_use_im_start_end), but its tokenizer lacks {' or '.join(IMAGE_MARKERS)}."
        )
    return None, None


def _require_fitting(values: Mapping[str, Any], config: LisaConfig, tokenizer: LlamaTokenizer) -> None:
    width = values.get("out_dim", config.mask_decoder.embed_dim)
    if width != config.mask_decoder.embed_dim:
        raise ConversionError(
            f"out_dim is {width}, but SAM's mask decoder has {config.mask_decoder.embed_dim} channels."
        )
    largest = max(*tokenizer.special.values(), tokenizer.pieces.get_piece_size() - 1)
    if largest >= config.language.vocab_size:
        raise ConversionError(
            f"The tokenizer has ids up to {largest}, but vocab_size is {config.language.vocab_size}; "
            "use the tokenizer files that belong to the weights."
        )
    LlamaTextProcessor(tokenizer, config)
