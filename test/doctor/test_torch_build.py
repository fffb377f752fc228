from __future__ import annotations

import pytest
import torch

from lisa_ros.doctor import torch_build
from lisa_ros.doctor.findings import Options, Status

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")


def look_at(title):
    return torch_build.CHECKS[title](Options())


def test_a_machine_without_a_gpu_is_well(monkeypatch, tmp_path):
    monkeypatch.setattr(torch_build, "DRIVER", tmp_path / "version")
    finding = look_at("gpu")
    assert finding.status is Status.OK
    assert finding.words.startswith("no CUDA device: the embedded checkpoint runs on the CPU; the weights of a 7B take")


def test_a_driver_that_torch_does_not_use_is_told(monkeypatch, tmp_path):
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan 1\n")
    monkeypatch.setattr(torch_build, "DRIVER", driver)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert look_at("gpu").status is Status.WARNING and look_at("gpu").remedy == "run scripts/setup --cuda"
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "driver 570.86.15, but torch for CUDA 13.0 finds none" in look_at("gpu").words


def test_torch_and_bitsandbytes_compute():
    assert look_at("torch").facts["version"] == torch.__version__
    finding = look_at("bitsandbytes")
    assert finding.status is Status.OK and 0 < finding.facts["errors"]["8bit"] < finding.facts["errors"]["4bit"] < 0.3


def test_bitsandbytes_that_computes_wrongly_is_told(monkeypatch):
    from bitsandbytes.nn import Linear4bit

    forward = Linear4bit.forward
    monkeypatch.setattr(Linear4bit, "forward", lambda self, values: -forward(self, values))
    assert look_at("bitsandbytes").status is Status.WARNING and "but wrongly" in look_at("bitsandbytes").words
