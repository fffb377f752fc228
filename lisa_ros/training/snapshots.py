"""Snapshots of a stage in training: one safetensors file with weights, averages, optimiser state and the step."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

Parameters = dict[str, nn.Parameter]


def save_snapshot(
    path: Path, step: int, parameters: Parameters, optimiser: torch.optim.Optimizer, average: dict[str, Tensor]
) -> None:
    """Write a snapshot under a temporary name and rename it, so that a kill leaves the last whole one."""
    state = {f"weight/{name}": value.detach() for name, value in parameters.items()}
    state |= {f"average/{name}": value for name, value in average.items()}
    for name, value in parameters.items():
        state |= {f"optimiser/{entry}/{name}": kept for entry, kept in optimiser.state[value].items()}
    part = path.with_suffix(".part")
    save_file({name: value.contiguous() for name, value in state.items()}, part, {"step": str(step)})
    part.replace(path)


def load_snapshot(
    path: Path, parameters: Parameters, optimiser: torch.optim.Optimizer, average: dict[str, Tensor]
) -> int:
    """Bring all four back to where a snapshot left them and return the step to go on with; 0 without a snapshot."""
    if not path.is_file():
        return 0
    state = load_file(path)
    assign(parameters, dict(_of_part(state, "weight/")))
    average.update(_of_part(state, "average/"))
    for key, value in _of_part(state, "optimiser/"):
        entry, name = key.split("/", 1)
        optimiser.state[parameters[name]][entry] = value
    with safe_open(path, framework="pt") as file:
        return int(file.metadata()["step"])


@torch.no_grad()
def assign(parameters: Parameters, values: dict[str, Tensor]) -> None:
    """Copy values into the parameters of the same names."""
    for name, value in values.items():
        parameters[name].copy_(value)


def _of_part(state: dict[str, Tensor], prefix: str) -> list[tuple[str, Tensor]]:
    return [(name[len(prefix) :], value) for name, value in state.items() if name.startswith(prefix)]
