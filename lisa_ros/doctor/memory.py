"""How much memory the weights of a network take in each precision."""

from __future__ import annotations

from typing import Any

WEIGHTS_OF_7B = {"16 bits": 16.0, "8bit": 9.0, "4bit": 6.0}
"""GB of the official LISA-7B with CLIP and SAM, rounded up."""
BLOCK = 64
"""So many 4-bit weights share a scale of one byte; 256 scales share one of four (QLoRA's double quantisation)."""


def weight_bytes(model: Any) -> dict[str, int]:
    """Return the bytes of the weights of a ``LisaModel``, which may be on the meta device.

    ``8bit`` and ``4bit`` shrink the linear layers of Llama's blocks only; everything else is in 16 bits there.
    """
    import torch

    from lisa_ros.model.quantization import BLOCKS

    everything = sum(parameter.numel() for parameter in model.parameters())
    linears = [m.weight for m in model.get_submodule(BLOCKS).modules() if isinstance(m, torch.nn.Linear)]
    shrunk, rows = sum(weight.numel() for weight in linears), sum(weight.shape[0] for weight in linears)
    rest = 2 * (everything - shrunk)
    return {
        "32 bits": 4 * everything,
        "16 bits": 2 * everything,
        "8bit": rest + shrunk + 4 * rows,
        "4bit": rest + shrunk // 2 + shrunk // BLOCK + 4 * shrunk // (BLOCK * 256),
    }
