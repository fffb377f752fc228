"""Python packages: are they there, can they be imported, and are they of the versions that are asked for?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path

from lisa_ros.doctor.findings import Check, Finding, Options, ok, one_line, problem, warning

MODULES = {"opencv-python-headless": "cv2", "pillow": "PIL", "pyyaml": "yaml", "segment-anything": "segment_anything"}
"""Package -> its module, where they are not named alike."""
ONLY_FOR_SOME = {"bitsandbytes": "8bit and 4bit", "sentencepiece": "converted official checkpoints"}
"""Package -> what does not work without it, where that is not everything."""
CHECKED_APART = {"bitsandbytes"}
EXTRAS = {"simulation": "lisa simulate", "training": "lisa train"}
"""File of requirements -> what needs them."""


def check_needed(options: Options) -> Finding | None:
    """Import every package that an answer needs, and compare its version with the range that is asked for."""
    try:
        requirements = [*_requirements("core"), *_requirements("model")]
    except FileNotFoundError as error:
        return warning(f"not looked at: {error}.", "go by the lines that follow, or install with pip")
    found, stopping, limiting = {}, [], []
    for requirement in requirements:
        name, wanted = _split(requirement)
        if name in CHECKED_APART:
            continue
        found[name], complaint = _look_at(name, wanted)
        if complaint and name in ONLY_FOR_SOME:
            limiting.append(f"{complaint} (needed for {ONLY_FOR_SOME[name]})")
        elif complaint:
            stopping.append(complaint)
    remedy = "run scripts/setup again, or: pip install --upgrade 'lisa_ros[model]'"
    if stopping:
        return problem("; ".join(stopping + limiting) + ".", remedy, versions=found)
    if limiting:
        return warning("; ".join(limiting) + ".", remedy, versions=found)
    return ok(", ".join(f"{name} {version}" for name, version in found.items()), versions=found)


def _look_at(name: str, wanted: str) -> tuple[str, str]:
    """Return the version of a package and what is wrong with it, empty if nothing is."""
    try:
        module = _import(MODULES.get(name, name))
    except ModuleNotFoundError as error:
        missing = error.name or name
        return "", f"{name} is not installed" if missing == MODULES.get(name, name) else f"{name} needs {missing}"
    except Exception as error:
        return "", f"{name} cannot be imported ({one_line(error)})"
    version = _version(name) or str(getattr(module, "__version__", ""))
    return version, "" if _is_within(version, wanted) else f"{name} is {version}, and {wanted} is needed"


def _import(module: str) -> object:
    if module == "segment_anything":  # its own first module imports torchvision, which nothing needs
        return import_module("lisa_ros.model.sam").sam_modeling()
    return import_module(module)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # a distribution's own package, or a plain module
        return ""


def _is_within(version: str, wanted: str) -> bool:
    if not version or not wanted:
        return True
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(wanted).contains(version, prereleases=True)


def check_extras(options: Options) -> Finding | None:
    """Say which commands lack packages; nothing else needs those."""
    lacking = {}
    for extra, command in EXTRAS.items():
        try:
            names = [_split(requirement)[0] for requirement in _requirements(extra)]
        except FileNotFoundError:
            return None
        missing = [name for name in names if find_spec(MODULES.get(name, name)) is None]
        if missing:
            lacking[command] = missing
    if lacking:
        words = "; ".join(f"{command} lacks {', '.join(names)}" for command, names in lacking.items())
        return ok(f"{words} (scripts/setup --simulation --training installs them)", missing=lacking)
    return ok(f"all there for {' and '.join(EXTRAS.values())}", missing={})


def _requirements(name: str) -> Iterator[str]:
    """Yield the requirements of a file in ``requirements/``, or what an installed package says of them."""
    path = Path(__file__).resolve().parents[2] / "requirements" / f"{name}.txt"
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        yield from (line for line in lines if line.strip() and not line.startswith("#"))
        return
    extra = {"core": "", "training": "train"}.get(name, name)
    try:
        entries = metadata.requires("lisa_ros") or []
    except metadata.PackageNotFoundError as error:
        raise FileNotFoundError(f"neither {path} nor an installed package says what is needed") from error
    for entry in entries:
        requirement, _, condition = entry.partition(";")
        if (f"extra == {extra!r}" in condition.replace('"', "'")) if extra else not condition:
            yield requirement


def _split(requirement: str) -> tuple[str, str]:
    name = re.match(r"[\w.-]+", requirement.strip())
    assert name is not None, requirement
    return name[0], requirement.strip()[len(name[0]) :].strip()


CHECKS: dict[str, Check] = {"packages": check_needed, "extras": check_extras}
