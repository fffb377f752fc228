"""The command ``lisa parity``: the network beside a recording of the reference's own code on the same weights.

A recording is a folder with ``config.json``, ``weights.safetensors``, ``inputs.npz`` and ``outputs.npz``. Where the
reference's validation or a step of its training was recorded too, it has ``val_`` and ``train_`` pairs of these; where
its answers in bf16 were, ``outputs_bf16_cpu.npz``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from lisa_ros.evaluation.parity.comparison import Findings
from lisa_ros.evaluation.parity.inference import (
    compare_bf16,
    compare_generation,
    compare_validation,
    with_bf16_weights,
)
from lisa_ros.evaluation.parity.recording import ParityError, cases_of, fitting, read_arrays, recorded_model
from lisa_ros.evaluation.parity.training import compare_training
from lisa_ros.model.checkpoints import CheckpointError
from lisa_ros.model.configuration import ConfigurationError

BF16_FILE = "outputs_bf16_cpu.npz"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lisa parity``."""
    parser.add_argument("folder", type=Path, help="recording of the reference: configuration, weights, inputs, outputs")


def run(arguments: argparse.Namespace) -> int:
    """Compare and print; the exit code is 1 beyond a tolerance, 2 when there is nothing to compare with."""
    try:
        findings = compare_with_recording(arguments.folder)
    except (ParityError, CheckpointError, ConfigurationError) as error:
        print(f"lisa parity: {error}", file=sys.stderr)
        return 2
    _print_table(findings)
    summary = findings.summary()
    print(json.dumps({"folder": str(arguments.folder)} | summary))
    return 0 if summary["passed"] else 1


def compare_with_recording(folder: Path) -> Findings:
    """Run everything that a folder recorded and compare.

    Raises ``ParityError``, ``CheckpointError`` or ``ConfigurationError`` with one sentence.
    """
    model = recorded_model(folder)
    inputs, outputs = read_arrays(folder / "inputs.npz"), read_arrays(folder / "outputs.npz")
    findings = Findings(not_checked=_unknown_files(folder))
    for case in cases_of(inputs, outputs):
        with fitting(case):
            compare_generation(model, inputs, outputs, case, findings)
    if (folder / BF16_FILE).is_file():
        outputs, rounded = read_arrays(folder / BF16_FILE), with_bf16_weights(model)
        for case in cases_of(outputs):
            with fitting(case):
                compare_bf16(rounded, inputs, outputs, case, findings)
    for start, compare in (("val", compare_validation), ("train", compare_training)):
        paths = [folder / f"{start}_{side}.npz" for side in ("inputs", "outputs")]
        if any(path.is_file() for path in paths):
            given, expected = map(read_arrays, paths)
            with fitting(start):
                compare(model, given, expected, findings)
    if not findings.comparisons:
        raise ParityError(f"{folder} holds nothing to compare with.")
    return findings


def _unknown_files(folder: Path) -> list[str]:
    """Name the recordings of a folder that this command does not know."""
    known = {f"{start}{side}.npz" for start in ("", "val_", "train_") for side in ("inputs", "outputs")} | {BF16_FILE}
    return sorted(path.name for path in folder.glob("*.npz") if path.name not in known)


def _print_table(findings: Findings) -> None:
    width = max(len(comparison.case) for comparison in findings.comparisons)
    for comparison in findings.comparisons:
        verdict = "ok" if comparison.passed else "BEYOND"
        values = f"{comparison.difference:10.3g}  allowed {comparison.tolerance:7.1g}"
        print(f"{comparison.case:{width}s}  {comparison.quantity:26s} {values}  {verdict}")
    if findings.undecided_pixels:
        print(f"{findings.undecided_pixels} pixels whose recorded logit is 0 within the tolerance count as recorded")
    for name in findings.not_checked:
        print(f"{name}: not checked")
