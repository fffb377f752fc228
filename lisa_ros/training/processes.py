"""One process or many: what accelerate sets up, and weights that are copied to every process or sharded over them.

accelerate 1.15 shards on GPUs only, so sharding is torch's own ``fully_shard`` everywhere: one way, testable on CPUs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, InitProcessGroupKwargs
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from lisa_ros.training.settings import SettingsError

SHARDED_LAYERS = frozenset({"LlamaDecoderLayer", "CLIPEncoderLayer", "Block"})
"""Classes of the layers that are gathered one at a time; ``Block`` is one of SAM's image encoder."""
PLAIN_TYPES = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
LONGEST_WAIT = timedelta(hours=2)
"""How long processes wait for one another: one of them writes checkpoints, which may be large."""


def start_processes(device: str) -> Accelerator:
    """Return accelerate's view of this process among those that were launched together.

    ``device`` is ``auto`` (a GPU where there is one) or ``cpu``. Raises ``SettingsError`` where the launcher asked for
    a kind of training that is not done here.
    """
    accelerator = Accelerator(
        cpu=device == "cpu" or not torch.cuda.is_available(),
        # The networks compute in the type of their frozen weights.
        mixed_precision="no",
        kwargs_handlers=[InitProcessGroupKwargs(timeout=LONGEST_WAIT)],
    )
    asked_for_fsdp = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    if asked_for_fsdp or accelerator.distributed_type not in PLAIN_TYPES:
        kind = "FSDP" if asked_for_fsdp else accelerator.distributed_type.value
        raise SettingsError(
            f"accelerate was launched for {kind}; launch plain processes and say `sharded: true` in the settings "
            "to spread the weights over them."
        )
    return accelerator


def spread(objective: nn.Module, accelerator: Accelerator, *, sharded: bool) -> nn.Module:
    """Put an objective on the device and spread it over all processes: a copy each (DDP), or a shard each (FSDP)."""
    if not sharded or accelerator.num_processes == 1:
        return accelerator.prepare_model(objective)
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    for module in list(objective.modules()):
        if type(module).__name__ in SHARDED_LAYERS:
            fully_shard(module, mesh=mesh)
    fully_shard(objective, mesh=mesh)
    return objective


@contextmanager
def gathered(objective: nn.Module) -> Iterator[bool]:
    """Let parts of an objective be called outside its own forward; yields whether it is sharded.

    Then layers are still gathered one at a time, so all processes have to make the same calls.
    """
    if not isinstance(objective, FSDPModule):
        yield False
        return
    FSDPModule.unshard(objective)
    try:
        yield True
    finally:
        FSDPModule.reshard(objective)


def whole(value: Tensor) -> Tensor:
    """Return a tensor on the CPU, gathered where it is sharded; then all processes have to call this."""
    detached = value.detach()
    return (detached.full_tensor() if isinstance(detached, DTensor) else detached).cpu()


def placed_like(value: Tensor, model: Tensor) -> Tensor:
    """Return a whole tensor where ``model`` is, sharded where that is."""
    value = value.to(model.device)
    if isinstance(model, DTensor):
        return distribute_tensor(value, model.device_mesh, model.placements, src_data_rank=None)
    return value
