"""The command ``lisa train``: train the embedded checkpoint as a settings file says."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lisa_ros.model.configuration_checks import ConfigurationError
from lisa_ros.training.pretrained import PretrainedError, default_folder
from lisa_ros.training.settings import SettingsError, TrainingSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lisa train``."""
    parser.add_argument("settings", type=Path, help="YAML file, for example config/training/tabletop.yaml")
    parser.add_argument("--pretrained", type=Path, default=default_folder(), help="where pretrained parts are kept")


def run(arguments: argparse.Namespace) -> int:
    """Train, or go on with an interrupted run; returns the exit code."""
    from lisa_ros.simulation.frames import FrameError
    from lisa_ros.training.trainer import Trainer

    try:
        trainer = Trainer(TrainingSettings.from_yaml(arguments.settings), arguments.pretrained)
    except (SettingsError, ConfigurationError, PretrainedError, FrameError) as error:
        print(f"lisa train: {error}", file=sys.stderr)
        return 1
    trainer.run()
    print(f"The checkpoint is in {trainer.output / 'model'}.")
    return 0
