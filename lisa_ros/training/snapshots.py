"""Snapshots of a stage in training: one safetensors file with weights, averages, optimiser state and the step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lisa_ros.training.processes import placed_like, whole
from lisa_ros.training.settings import TrainingError

Parameters = dict[str, nn.Parameter]


@dataclass(slots=True)
class Learned:
    """All that a stage has learned: parameters by name, the optimiser's state of each, and their running averages.

    ``averages`` is empty for a stage that keeps none.
    """

    parameters: Parameters
    optimiser: torch.optim.Optimizer
    averages: dict[str, Tensor]

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Return everything by the name that it has in a snapshot."""
        yield from ((f"weight/{name}", value) for name, value in self.parameters.items())
        yield from ((f"average/{name}", value) for name, value in self.averages.items())
        for name, parameter in self.parameters.items():
            state = self.optimiser.state.get(parameter, {})
            yield from ((f"optimiser/{entry}/{name}", value) for entry, value in state.items())


def save_snapshot(path: Path, learned: Learned, step: int, samples_per_step: int, *, writes: bool) -> None:
    """Write a snapshot under a temporary name and rename it, so that a kill leaves the last whole one.

    All processes have to call this, because sharded weights are gathered; the one that ``writes`` does the writing.
    """
    state = {}
    for name, value in learned.tensors():
        gathered = whole(value)
        if writes:
            state[name] = gathered.contiguous()
    if not writes:
        return
    part = path.with_suffix(".part")
    try:
        save_file(state, part, {"step": str(step), "samples_per_step": str(samples_per_step)})
        part.replace(path)
    except (SafetensorError, OSError) as error:
        part.unlink(missing_ok=True)
        raise TrainingError(
            f"The snapshot {path} cannot be written ({error}); make room and start again from the last whole one."
        ) from error


def load_snapshot(path: Path, learned: Learned, samples_per_step: int) -> int:
    """Bring everything back to where a snapshot left it and return the step to go on with; 0 without a snapshot.

    Raises ``TrainingError`` with one sentence for a snapshot that is damaged or of another run.
    """
    if not path.is_file():
        return 0
    try:
        with safe_open(path, framework="pt") as file:
            return _restore(file, path, learned, samples_per_step)
    except (SafetensorError, OSError) as error:
        raise TrainingError(f"The snapshot {path} is damaged ({error}); delete it to begin anew.") from error


def saved_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights of a snapshot, without the optimiser's state."""
    with safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith("weight/")]  # noqa: SIM118 - not a dict
        return {name.removeprefix("weight/"): file.get_tensor(name) for name in names}


def _restore(file: Any, path: Path, learned: Learned, samples_per_step: int) -> int:
    facts = file.metadata()
    _require_same_run(file, path, learned)
    if int(facts["samples_per_step"]) != samples_per_step:
        raise TrainingError(
            f"The snapshot {path} is of a run with {facts['samples_per_step']} samples a step and this one has "
            f"{samples_per_step}; change batch_size or accumulation, or the number of processes that multiplies them."
        )
    for name, parameter in learned.parameters.items():
        _copy(parameter, file.get_tensor(f"weight/{name}"))
    for name, average in learned.averages.items():
        _copy(average, file.get_tensor(f"average/{name}"))
    for key in file.keys():  # noqa: SIM118 - not a dict
        part, entry, name = (key + "//").split("/", 2)
        if part == "optimiser":
            parameter, value = learned.parameters[name.removesuffix("//")], file.get_tensor(key)
            # The count of steps is a number on the CPU, whatever the shape and place of its parameter.
            learned.optimiser.state[parameter][entry] = value if entry == "step" else placed_like(value, parameter)
    return int(facts["step"])


def _require_same_run(file: Any, path: Path, learned: Learned) -> None:
    """Raise ``TrainingError`` unless a snapshot holds the weights that are learned, in their shapes."""
    wanted = {f"weight/{name}": list(value.shape) for name, value in learned.parameters.items()}
    wanted |= {f"average/{name}": list(value.shape) for name, value in learned.averages.items()}
    stored = {key: file.get_slice(key).get_shape() for key in file.keys() if not key.startswith("optimiser/")}  # noqa: SIM118
    unlike = sorted(key for key in wanted.keys() | stored.keys() if wanted.get(key) != stored.get(key))
    if unlike:
        raise TrainingError(
            f"The snapshot {path} is of a run that learns other weights ({len(unlike)} differ, {unlike[0]} is one); "
            "name another output or delete it."
        )


@torch.no_grad()
def _copy(target: Tensor, value: Tensor) -> None:
    target.copy_(placed_like(value, target))


@torch.no_grad()
def assign(parameters: Parameters, values: dict[str, Tensor]) -> None:
    """Copy values into the parameters of the same names."""
    for name, value in values.items():
        parameters[name].copy_(value)
