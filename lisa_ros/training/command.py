"""The command ``lisa train``: train as a settings file says, or go on with a run that was interrupted."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lisa_ros.training.pretrained import PretrainedError, default_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lisa train``."""
    parser.add_argument("settings", type=Path, help="YAML file, for example config/training/finetune.yaml")
    parser.add_argument(
        "--pretrained", type=Path, default=default_folder(), help="where the recipe `tabletop` keeps pretrained parts"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, or go on with an interrupted run; returns the exit code."""
    import torch

    from lisa_ros.datasets.records import DatasetError
    from lisa_ros.model.checkpoints import CheckpointError
    from lisa_ros.model.configuration import ConfigurationError
    from lisa_ros.simulation.frames import FrameError
    from lisa_ros.training.recipes import make_trainer, read_recipe
    from lisa_ros.training.settings import TrainingError

    try:
        trainer = make_trainer(read_recipe(arguments.settings), arguments.pretrained)
        trainer.run()
    except (
        ConfigurationError,
        PretrainedError,
        FrameError,
        DatasetError,
        CheckpointError,
        TrainingError,
        OSError,
    ) as error:
        return _failed(str(error))
    except torch.OutOfMemoryError:
        return _failed(
            "The GPU's memory is too small; lower batch_size and raise accumulation, or say `sharded: true`."
        )
    except KeyboardInterrupt:
        return _failed("Stopped; the same command goes on from the last snapshot.")
    if trainer.is_main:
        print(f"The checkpoint is in {trainer.output / 'model'}.")
    return 0


def _failed(sentence: str) -> int:
    print(f"lisa train: {sentence}", file=sys.stderr)
    return 1
