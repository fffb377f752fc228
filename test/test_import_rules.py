from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "lisa_ros"
INTERFACES = {"msg", "srv", "action"}
"""Sub-packages of ``lisa_ros`` that are generated from message files."""

ROOMS: dict[str, set[str]] = {
    "answers": set(),
    "segmenter": {"answers"},
    "scripted": {"answers", "segmenter"},
    "geometry": {"answers"},
    "simulation": {"answers", "geometry"},
    "datasets": {"answers"},
    "model": {"answers"},
    "conversion": {"model"},
    "engine": {"answers", "segmenter", "geometry", "model"},
    "evaluation": {"answers", "segmenter", "geometry", "simulation", "datasets", "model", "model_folder", "engine"},
    "training": {"answers", "segmenter", "geometry", "simulation", "datasets", "model", "engine", "evaluation"},
    "evaluation.parity": {"model", "engine", "evaluation", "training"},
    "two_stage": {"answers", "segmenter", "engine"},
    "doctor": {"answers", "segmenter", "model_folder", "model", "conversion"},
    "model_folder": {"segmenter"},
    "node": {"answers", "segmenter", "geometry", "model_folder", *INTERFACES},
    "node.demo": {"answers", "segmenter", "geometry", "simulation", "evaluation", "node", *INTERFACES},
    "ask": {"answers", "segmenter", "model_folder"},
    "cli": {"answers", "segmenter", "ask", "simulation", "training", "evaluation", "conversion", "doctor"},
}
"""Room -> the other rooms that it may import."""

ROS_SIDE = {"node", "node.demo"}
FREE_OF_TORCH = {
    "answers",
    "segmenter",
    "scripted",
    "model_folder",
    "geometry",
    "simulation",
    "datasets",
    "ask",
    "cli",
} | ROS_SIDE
TORCH = {"torch", "torchvision", "transformers", "tokenizers", "safetensors", "segment_anything", "bitsandbytes"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    words = module.split(".")[1:]
    return next((room for room in (".".join(words[:2]), ".".join(words[:1])) if room in ROOMS), ".".join(words[:1]))


def is_ros(module: str) -> bool:
    root = module.split(".")[0]
    generated = root == "lisa_ros" and room_of(module) in INTERFACES
    return generated or root.startswith(("rclpy", "rcl_", "cv_bridge", "tf2", "ament_index")) or root.endswith("_msgs")


def is_torch(module: str) -> bool:
    return module.split(".")[0] in TORCH


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Every module that the nodes of ``tree`` import, each name of a ``from`` import as a possible module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            "import_module",
            "__import__",
        ):
            yield from (value.value for value in node.args[:1] if isinstance(value, ast.Constant))


def runs_on_import(tree: ast.Module) -> ast.Module:
    """The module without the bodies of its functions and of ``if TYPE_CHECKING``."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:  # noqa: N802
            return None

        def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:  # noqa: N802
            return None

        def visit_If(self, node: ast.If) -> ast.AST | None:  # noqa: N802
            return None if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)

    return Strip().visit(tree)


@cache
def imports_of(path: Path, on_import_only: bool = False) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    return frozenset(imported(runs_on_import(tree) if on_import_only else tree, package))


def reached_by(path: Path) -> dict[str, list[str]]:
    """Every module loaded when ``path`` is imported -> the chain of our modules that leads to it."""
    files = {name_of(module): module for module in MODULES}
    chains, waiting = {name_of(path): [name_of(path)]}, [path]
    while waiting:
        current = waiting.pop()
        for module in imports_of(current, on_import_only=True):
            if module not in chains:
                chains[module] = [*chains[name_of(current)], module]
                if module in files:
                    waiting.append(files[module])
    return chains


def offenders(rooms: Iterable[str], offences: Callable[[Path], Iterable[object]]) -> dict[str, list[object]]:
    """Module -> what it does against a rule, for the modules of ``rooms``."""
    found = {name_of(path): list(offences(path)) for path in MODULES if room_of(name_of(path)) in rooms}
    return {name: offence for name, offence in found.items() if offence}


def test_every_module_belongs_to_a_room_and_has_a_name_of_its_own() -> None:
    assert {room_of(name_of(path)) for path in MODULES} <= {"", *ROOMS}, "a name is unknown or belongs to messages"
    assert [name_of(path) for path in MODULES if path.stem == "utils"] == []


def test_imports_between_rooms_go_down_only() -> None:
    def upwards(path: Path) -> set[str]:
        room = room_of(name_of(path))
        return {room_of(other) for other in imports_of(path) if other.startswith("lisa_ros.")} - ROOMS[room] - {room}

    assert offenders(ROOMS, upwards) == {}


def test_only_the_node_imports_ros() -> None:
    assert offenders(ROOMS.keys() - ROS_SIDE, lambda path: filter(is_ros, imports_of(path))) == {}


def test_rooms_free_of_torch_never_import_it() -> None:
    assert offenders(FREE_OF_TORCH, lambda path: filter(is_torch, imports_of(path))) == {}


def test_rooms_free_of_torch_reach_it_through_no_other_module() -> None:
    def chains(path: Path) -> list[list[str]]:
        return [chain for module, chain in reached_by(path).items() if is_torch(module)]

    assert offenders(FREE_OF_TORCH, chains) == {}


def test_the_package_itself_only_extends_its_path() -> None:
    assert imports_of(PACKAGE / "__init__.py") == {"pkgutil", "pkgutil.extend_path"}
