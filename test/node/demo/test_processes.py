from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import pytest

from lisa_ros.node.demo import processes
from lisa_ros.node.demo.errors import DemoError
from lisa_ros.node.demo.processes import Processes, free_domain, lisa_node_command


def test_processes_end_with_the_block_even_those_that_do_not_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "STOP_SECONDS", 1.0)
    deaf = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    polite = deaf.replace("SIG_IGN", "SIG_DFL")
    with pytest.raises(KeyError), Processes(tmp_path) as started:
        running = [started.start(name, [sys.executable, "-c", code]) for name, code in (("a", deaf), ("b", polite))]
        while any((tmp_path / f"{name}.log").stat().st_size == 0 for name in "ab"):
            time.sleep(0.05)
        raise KeyError("something went wrong")
    assert [process.returncode for process in running] == [-signal.SIGKILL, -signal.SIGINT]


def test_a_process_that_ended_is_noticed_with_its_last_words(tmp_path: Path) -> None:
    with Processes(tmp_path) as started:
        started.start(
            "node", [sys.executable, "-c", "print('first', flush=True); raise SystemExit('out of luck')"]
        ).wait()
        with pytest.raises(DemoError, match=r"node ended with status 1.*out of luck"):
            started.check()


def test_the_folder_of_a_model_reaches_the_node_as_one_string() -> None:
    command = lisa_node_command("lisa", "/a folder/with: 'quotes' and ü")
    assert Path(command[1]).is_file()
    value = command[-1].removeprefix("model:=")
    assert json.loads(value) == "/a folder/with: 'quotes' and ü"


def test_a_domain_in_use_is_not_chosen() -> None:
    import rclpy

    taken = free_domain()
    context = rclpy.Context()
    context.init(args=[], domain_id=taken)
    node = rclpy.create_node("somebody", context=context)
    try:
        assert free_domain() != taken
    finally:
        node.destroy_node()
        context.shutdown()
