"""PyTorch, the GPUs it sees, and bitsandbytes: each by a real computation."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from lisa_ros.doctor.findings import Check, Finding, Options, ok, one_line, problem, size_words, warning
from lisa_ros.doctor.memory import WEIGHTS_OF_7B

DRIVER = Path("/proc/driver/nvidia/version")
"""There while the NVIDIA driver is loaded."""


def check_torch(options: Options) -> Finding | None:
    """Multiply two matrices."""
    import torch

    ones = torch.ones(64, 64)
    if not torch.equal(ones @ ones, torch.full((64, 64), 64.0)):
        return problem(f"{torch.__version__} multiplies wrongly.", "install torch again: scripts/setup")
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    words = f"{torch.__version__}, {build} build, {torch.get_num_threads()} threads"
    return ok(words, version=torch.__version__, cuda=torch.version.cuda, threads=torch.get_num_threads())


def check_gpus(options: Options) -> Finding | None:
    """Name the GPUs and multiply on each; without any, say what runs all the same."""
    import torch

    if not torch.cuda.is_available():
        return _without_gpu(torch)
    gpus, faults = [], []
    for index in range(torch.cuda.device_count()):
        gpus.append(_describe(torch, index))
        try:
            ones = torch.ones(64, 64, device=f"cuda:{index}", dtype=torch.float16)
            (ones @ ones).cpu()
        except RuntimeError as error:
            faults.append(f"cuda:{index} cannot compute ({one_line(error)})")
    words = "; ".join(f"cuda:{index} {gpu['words']}" for index, gpu in enumerate(gpus))
    if faults:
        return problem(f"{words}; {'; '.join(faults)}.", "install a torch for this GPU and driver, or use device cpu")
    return ok(f"{words}, driver {_driver_version()}", gpus=gpus)


def _without_gpu(torch: Any) -> Finding:
    needs = ", ".join(f"{size:.0f} GB in {precision}" for precision, size in WEIGHTS_OF_7B.items())
    words = f"no CUDA device: the embedded checkpoint runs on the CPU; the weights of a 7B take {needs}"
    if not DRIVER.exists():
        return ok(words, gpus=[])
    if torch.version.cuda is None:
        return warning(f"{words}; there is an NVIDIA driver, but torch is the CPU build.", "run scripts/setup --cuda")
    return warning(
        f"{words}; there is an NVIDIA driver {_driver_version()}, but torch for CUDA {torch.version.cuda} finds none.",
        "see whether nvidia-smi works here, whether the driver is new enough, and what CUDA_VISIBLE_DEVICES says",
    )


def _describe(torch: Any, index: int) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    capability = f"{properties.major}.{properties.minor}"
    bfloat16 = properties.major >= 8
    words = (
        f"{properties.name}, {size_words(free)} of {size_words(total)} free, compute capability {capability}, "
        f"bfloat16 {'in hardware' if bfloat16 else 'not in hardware: use dtype float16'}"
    )
    return {"words": words, "name": properties.name, "free": free, "total": total, "capability": capability}


def _driver_version() -> str:
    try:
        words = DRIVER.read_text(encoding="utf-8").split()
    except OSError:
        return "of unknown version"
    return next((word for word in words if word[:1].isdigit() and "." in word), "of unknown version")


def check_bitsandbytes(options: Options) -> Finding | None:
    """Multiply by weights of 8 and of 4 bits, where the network would."""
    remedy = "quantization 8bit and 4bit cannot be used; pip install --upgrade bitsandbytes"
    try:
        import bitsandbytes
    except Exception as error:
        return warning(f"bitsandbytes cannot be imported ({one_line(error)}).", remedy)
    import torch

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    results = {}
    for name in ("8bit", "4bit"):
        try:
            results[name] = _relative_error(torch, bitsandbytes, name, device)
        except Exception as error:
            return warning(f"{bitsandbytes.__version__}, but {name} fails on {device} ({one_line(error)}).", remedy)
    words = f"{bitsandbytes.__version__}, 8bit and 4bit compute on {device}"
    if results["8bit"] > 0.05 or results["4bit"] > 0.3:
        return warning(f"{words}, but wrongly (relative errors {results}).", remedy, errors=results)
    return ok(words, version=bitsandbytes.__version__, errors=results)


def _relative_error(torch: Any, bitsandbytes: Any, name: str, device: Any) -> float:
    """Return how far a quantised layer is from the plain one."""
    generator = torch.Generator().manual_seed(0)
    plain = torch.nn.Linear(128, 64, bias=False)
    plain.weight.data = torch.randn(64, 128, generator=generator)
    if name == "8bit":
        layer = bitsandbytes.nn.Linear8bitLt(128, 64, bias=False, has_fp16_weights=False)
    else:
        layer = bitsandbytes.nn.Linear4bit(128, 64, bias=False, compute_dtype=torch.float32, quant_type="nf4")
        layer.support_avx512bf16_for_cpu = False
    layer.load_state_dict(plain.state_dict())
    values = torch.randn(4, 128, generator=generator)
    with torch.inference_mode():
        expected = plain(values)
        found = layer.to(device)(values.to(device, torch.float16 if device.type == "cuda" else torch.float32))
    return round(float((found.float().cpu() - expected).norm() / expected.norm()), 4)


CHECKS: dict[str, Check] = {"torch": check_torch, "gpu": check_gpus, "bitsandbytes": check_bitsandbytes}
