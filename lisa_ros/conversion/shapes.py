"""Sizes of the network that no official configuration tells, from the shapes of the weights.

A weight that is missing or has a wrong shape must not hide what else is wrong, so every size is what most of the
weights that have it agree on; which ones do not is for the strict comparison to list.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from lisa_ros.model.configuration import MaskDecoderConfig, SamVitConfig

Shapes = Mapping[str, tuple[int, ...]]
"""Official weight name -> shape."""
SAM = "model.visual_model."
BLOCK = r"model\.visual_model\.image_encoder\.blocks\.(\d+)\."
PATCHES = r"model\.visual_model\.image_encoder\.patch_embed\.proj\.weight"
POSITIONS = r"model\.visual_model\.image_encoder\.pos_embed"
DECODER = r"model\.visual_model\.mask_decoder\."
PROJECTOR = "model.mm_projector."


def has_mask_decoder(shapes: Shapes) -> bool:
    """Say whether a checkpoint holds SAM at all."""
    return any(name.startswith(SAM) for name in shapes)


def image_encoder_config(shapes: Shapes) -> SamVitConfig:
    """Return the sizes of SAM's image encoder.

    A block's relative positions ``[2 * side - 1, head]`` tell the size of its heads and whether it attends globally:
    then its side is that of the whole grid.
    """
    default = SamVitConfig()
    embed_dim = _usual(_sizes(shapes, BLOCK + r"norm\d\.weight", 0), default.embed_dim)
    head = _usual(_sizes(shapes, BLOCK + r"attn\.rel_pos_[hw]", 1), default.embed_dim // default.num_heads)
    hidden = _usual(_sizes(shapes, BLOCK + r"mlp\.lin1\.weight", 0), int(default.mlp_ratio * embed_dim))
    patch_size = _usual(_sizes(shapes, PATCHES, -1), default.patch_size)
    blocks = _sides_of_blocks(shapes)
    sides = [side for of_block in blocks for side in of_block]
    # Attention in windows has the smallest side; one that occurs once belongs to a weight that is wrong.
    window = min([side for side in sides if sides.count(side) > 1], default=default.window_size)
    larger = [side for side in sides if side > window]
    grid = _usual([*larger, *_sizes(shapes, POSITIONS, 1), *_sizes(shapes, POSITIONS, 2)], window)
    return SamVitConfig(
        image_size=grid * patch_size,
        patch_size=patch_size,
        embed_dim=embed_dim,
        depth=len(blocks),
        num_heads=embed_dim // head if embed_dim % head == 0 else 1,
        global_attn_indexes=tuple(block for block, of_block in enumerate(blocks) if grid in of_block),
        window_size=_usual([side for side in sides if side != grid], default.window_size),
        mlp_ratio=hidden / embed_dim,
    )


def _sides_of_blocks(shapes: Shapes) -> list[list[int]]:
    """Return the sides of every block's relative positions, vertical and horizontal."""
    blocks = len({match[1] for name in shapes if (match := re.match(BLOCK, name))})
    positions = (BLOCK.replace(r"(\d+)", str(block)) + r"attn\.rel_pos_[hw]" for block in range(blocks))
    return [[(rows + 1) // 2 for rows in _sizes(shapes, of_block, 0)] for of_block in positions]


def mask_decoder_config(shapes: Shapes) -> MaskDecoderConfig:
    """Return the sizes of SAM's mask decoder; it has eight heads, as SAM has."""
    default = MaskDecoderConfig()
    layer = DECODER + r"transformer\.layers\.(\d+)\."
    depth = len({match[1] for name in shapes if (match := re.match(layer, name))})
    return MaskDecoderConfig(
        embed_dim=_usual(_sizes(shapes, layer + r"norm\d\.weight", 0), default.embed_dim),
        depth=depth or default.depth,
        mlp_dim=_usual(_sizes(shapes, layer + r"mlp\.lin1\.(weight|bias)", 0), default.mlp_dim),
        num_multimask_outputs=_usual(_sizes(shapes, DECODER + r"mask_tokens\.weight", 0), 4) - 1,
        iou_head_hidden_dim=_usual(
            _sizes(shapes, DECODER + r"iou_prediction_head\.layers\.[01]\.(weight|bias)", 0),
            default.iou_head_hidden_dim,
        ),
    )


def projector_kind(shapes: Shapes) -> str:
    """Return ``linear``, or ``mlp2x_gelu`` where the projector's weights are numbered (LLaVA-1.5, LISA++)."""
    numbered = any(re.match(re.escape(PROJECTOR) + r"\d+\.", name) for name in shapes)
    return "mlp2x_gelu" if numbered else "linear"


def _sizes(shapes: Shapes, pattern: str, dimension: int) -> Iterator[int]:
    """Return one dimension of every weight whose whole name matches, where it has that dimension."""
    for name, shape in shapes.items():
        if re.fullmatch(pattern, name) and -len(shape) <= dimension < len(shape):
            yield shape[dimension]


def _usual(sizes: Iterable[int], default: int) -> int:
    counted = Counter(size for size in sizes if size > 0)
    return counted.most_common(1)[0][0] if counted else default
