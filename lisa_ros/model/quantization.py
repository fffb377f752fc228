"""Llama's blocks in 8 or 4 bits a weight, by bitsandbytes; every other part keeps its precision.

8 bits are LLM.int8 (Dettmers et al. 2022), 4 bits are NormalFloat with double quantisation (QLoRA, Dettmers et al.
2023). The reference also quantises the language head, the projector and ``text_hidden_fcs``; their few weights act on
every token and every mask, so here they do not lose any.
"""

from __future__ import annotations

import ctypes
import logging
from typing import Any

import torch
from torch import Tensor, nn

from lisa_ros.model.checkpoint_folder import CheckpointError
from lisa_ros.model.modeling import LisaModel

QUANTIZATIONS = ("8bit", "4bit")
BLOCKS = "language_model.model.layers"
OUTLIER_THRESHOLD = 6.0
"""LLM.int8 multiplies input columns with a larger value in 16 bits (the paper's choice)."""
BLOCK_SIZES = (64, 32)
"""So many weights of a row share a scale: 64 as in the paper, fewer where rows would end within a block."""
PACKED_ROWS = 32
"""bitsandbytes' packed bf16 kernel of CPUs takes so many rows at a time."""


def check_quantization(quantization: str | None) -> None:
    """Raise ``CheckpointError`` unless the name is known and bitsandbytes is there where it is needed."""
    if quantization is None:
        return
    if quantization not in QUANTIZATIONS:
        raise CheckpointError(f"quantization is {quantization!r}; choose one of none, {', '.join(QUANTIZATIONS)}.")
    # It warns on every multiplication that inputs are rounded to 16 bits, which is what 8 bits mean.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise CheckpointError(
            f"quantization {quantization!r} needs bitsandbytes, which cannot be imported ({error}); "
            "install it with: pip install bitsandbytes."
        ) from error


def quantize_blocks(model: LisaModel, quantization: str, dtype: torch.dtype) -> dict[str, nn.Linear]:
    """Put quantised layers, still without weights, in the place of the linear layers of Llama's blocks.

    They compute in ``dtype``. Returns them by the name of their weight; ``set_weight`` fills one.
    """
    blocks = model.get_submodule(BLOCKS)
    linears = {name: module for name, module in blocks.named_modules() if isinstance(module, nn.Linear)}
    quantized = {}
    for name, linear in linears.items():
        in_4_bits = quantization == "4bit"
        replacement = _in_4_bits(linear, f"{BLOCKS}.{name}", dtype) if in_4_bits else _in_8_bits(linear)
        owner, _, attribute = name.rpartition(".")
        setattr(blocks.get_submodule(owner), attribute, replacement)
        quantized[f"{BLOCKS}.{name}.weight"] = replacement
    return quantized


def set_weight(linear: nn.Linear, weight: Tensor, device: torch.device) -> None:
    """Quantise ``weight`` ``[out, in]``, which is on the CPU, into a layer of ``quantize_blocks`` on ``device``."""
    from bitsandbytes.nn import Int8Params, Linear4bit, Params4bit

    parameter: Any
    if isinstance(linear, Linear4bit):
        parameter = Params4bit(weight, False, blocksize=_block_size(linear), quant_type="nf4", module=linear)
    else:
        parameter = Int8Params(weight, False)
    linear.weight = parameter.to(device)
    if device.type == "cpu":
        _return_freed_memory()


def _return_freed_memory() -> None:
    """Let the C library give back what quantising freed: with small results in between, glibc would keep most of it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _in_8_bits(linear: nn.Linear) -> nn.Linear:
    from bitsandbytes.nn import Linear8bitLt

    return Linear8bitLt(
        linear.in_features,
        linear.out_features,
        linear.bias is not None,
        has_fp16_weights=False,
        threshold=OUTLIER_THRESHOLD,
        device="meta",
    )


def _in_4_bits(linear: nn.Linear, name: str, dtype: torch.dtype) -> nn.Linear:
    from bitsandbytes.nn import Linear4bit

    if _block_size(linear) == 0:
        raise CheckpointError(
            f"quantization '4bit' needs rows of a multiple of {BLOCK_SIZES[-1]} weights, and {name} has "
            f"{linear.in_features}; choose 8bit or none."
        )
    replacement = Linear4bit(
        linear.in_features, linear.out_features, linear.bias is not None, dtype, quant_type="nf4", device="meta"
    )
    # The packed kernel of CPUs computes in bf16 whatever it is asked for, and fails for other numbers of rows.
    if dtype is not torch.bfloat16 or linear.out_features % PACKED_ROWS:
        replacement.support_avx512bf16_for_cpu = False
    return replacement


def _block_size(linear: nn.Linear) -> int:
    """Return the largest block that divides the rows, 0 for none: some CPU kernels misread blocks across rows."""
    return next((size for size in BLOCK_SIZES if linear.in_features % size == 0), 0)
