"""From a network in training back to a plain one: LoRA merged, quantised weights expanded."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.sam import is_kept_exact


@torch.no_grad()
def merged(model: LisaModel, dtype: torch.dtype | None = None) -> LisaModel:
    """Return a plain network that computes what ``model`` computes in ``eval`` mode, its weights under the usual names.

    Every LoRA pair is added to its weight, ``W + alpha / r * B A`` in fp32; quantised weights are expanded. ``dtype``
    is that of all weights but the positional encoding; ``None`` keeps each in its own. ``model`` is left as it is, and
    weights that need no change are shared with it.
    """
    with torch.device("meta"):
        plain = LisaModel(model.config)
    plain.load_state_dict({key: _plain_tensor(model, key, dtype) for key in plain.state_dict()}, assign=True)
    if model.config.language.tie_word_embeddings:
        plain.language_model.tie_weights()
    for name, module in plain.named_modules():
        for buffer_name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_meta:
                setattr(module, buffer_name, getattr(model.get_submodule(name), buffer_name))
    return plain.eval()


def _plain_tensor(model: LisaModel, key: str, dtype: torch.dtype | None) -> Tensor:
    """Return the tensor of a plain network's ``key``."""
    path, _, name = key.rpartition(".")
    module: Any = model.get_submodule(path)
    base = getattr(module, "base_layer", module)
    is_weight = name == "weight" and isinstance(base, nn.Linear)
    tensor: Tensor = _expanded(base) if is_weight else getattr(base, name).detach()
    if is_weight and base is not module:
        deltas = (module.get_delta_weight(adapter).float() for adapter in module.active_adapters)
        tensor = sum(deltas, tensor.float()).to(dtype or tensor.dtype)
    is_exact = is_kept_exact(key) or not tensor.is_floating_point()
    return tensor if dtype is None or is_exact else tensor.to(dtype)


def _expanded(linear: nn.Linear) -> Tensor:
    """Return the weight of a linear layer, that of bitsandbytes' quantised ones in the type that they compute in."""
    if linear.weight.is_floating_point():
        return linear.weight.detach()
    from peft.utils.integrations import dequantize_module_weight

    expanded: Tensor = dequantize_module_weight(linear)
    return expanded.detach()
