from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lisa_ros.cli import COMMANDS, main

OTHERS = [module for name, (module, _) in COMMANDS.items() if name != "ask"]
ASK_ALONE = f"""
import sys
from lisa_ros.cli import main
code = main(["ask", "missing.png", "where is it"])
print(code, [name for name in (*{OTHERS!r}, "torch", "rclpy", "mujoco") if name in sys.modules])
"""


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert caught.value.code == 0
    assert all(name in text and purpose in text for name, (_, purpose) in COMMANDS.items())


@pytest.mark.parametrize("words", [["teach"], []])
def test_an_unknown_or_missing_command_is_a_usage_error(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert (", ".join(repr(name) for name in COMMANDS) if words else "command") in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_its_arguments(name, capsys):
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    usage = capsys.readouterr().out.split("\n\n")[0].split()
    assert caught.value.code == 0
    assert usage[:4] == ["usage:", "lisa", name, "[-h]"] and len(usage) > 4


def test_only_the_module_of_the_command_asked_for_is_imported():
    command = [sys.executable, "-c", ASK_ALONE]
    result = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "1 []"
    assert result.stderr.strip() == "lisa ask: missing.png cannot be read as a picture."


def test_a_package_that_is_not_installed_is_one_sentence_with_the_remedy(monkeypatch, capsys):
    monkeypatch.setattr("lisa_ros.cli.import_module", needing_a_package)
    assert main(["eval", "--help"]) == main(["ask", "--help"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "lisa eval: The package pycocotools is not installed; "
        "run scripts/setup --simulation --training, or pip install '.[train]'.",
        "lisa ask: The package pycocotools is not installed; run scripts/setup, or pip install '.[model]'.",
    ]


def needing_a_package(module):
    raise ModuleNotFoundError("No module named 'pycocotools.mask'", name="pycocotools")


def test_ctrl_c_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr("lisa_ros.ask.run", interrupted)
    assert main(["ask", "missing.png", "where is it"]) == 130
    assert capsys.readouterr().err == "lisa ask: Stopped.\n"


def interrupted(arguments):
    raise KeyboardInterrupt


def test_the_script_may_be_imported_by_the_workers_of_a_command():
    command = [sys.executable, "-c", "import runpy; runpy.run_path('scripts/lisa', run_name='__mp_main__')"]
    result = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("", "")


def test_the_exit_code_is_that_of_the_command(monkeypatch, capsys):
    assert main(["ask", "missing.png", "where is it"]) == 1
    monkeypatch.setattr(sys, "argv", ["lisa", "ask", "missing.png", "where is it"])
    assert main() == 1
