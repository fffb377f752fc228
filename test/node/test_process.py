"""The process: signals, crashes, wrong parameters, and two nodes side by side."""

from __future__ import annotations

import contextlib
import signal
import subprocess

import pytest

from lisa_ros.msg import Result


@pytest.mark.parametrize("signals", [[signal.SIGINT, signal.SIGINT], [signal.SIGTERM]])
def test_signals_end_the_node_with_status_zero_and_no_traceback(start_node, make_peer, signals):
    node, peer = start_node(), make_peer()
    peer.wait_for("active")
    code, output = node.end(*signals)
    assert code == 0, output
    assert "Traceback" not in output and "Error" not in output, output


def test_a_hail_of_ctrl_c_interrupts_once(start_node, make_peer):
    node, peer = start_node(), make_peer()
    peer.wait_for("active")
    while node.process.poll() is None:
        node.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            node.process.wait(timeout=0.001)
    code, output = node.end()
    assert code == 0 and "Traceback" not in output, output


def test_ctrl_c_twice_while_an_answer_is_running(start_node, make_peer, make_image):
    node, peer = start_node("-p", "scripted_delay:=1.0"), make_peer()
    peer.wait_for("active")
    peer.ask_about(make_image(), "first")
    peer.keep_busy("running", "waiting")
    code, output = node.end(signal.SIGINT, signal.SIGINT)
    assert code == 0 and "Traceback" not in output, output


def test_a_killed_node_is_replaced_by_a_new_one(start_node, make_peer, make_image):
    first, peer = start_node(), make_peer()
    peer.wait_for("active")
    assert peer.ask_about(make_image(), "where?").verdict == Result.FOUND
    code, _ = first.end(signal.SIGKILL)
    assert code == -signal.SIGKILL
    start_node()
    # The killed process could not say goodbye: others see it until its lease of discovery ends.
    answered = make_peer()
    answered.wait(lambda: answered.camera.get_subscription_count() >= 1, "the new subscription to images")

    def found():
        answered.camera.publish(make_image())
        answered.query("where?")
        return any(result.verdict == Result.FOUND for result in answered.results)

    answered.wait(found, "an answer of the new node")


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        (
            "dtype:=int4",
            "lisa_node: The parameter dtype is 'int4'; it must be one of auto, float32, bfloat16, float16.",
        ),
        ("threads:=-1", "threads out of range. Min: 0, Max: 1024, value: -1"),
        ("autostart:=7", "'autostart' to '7' of type 'INTEGER', expecting type 'BOOL'"),
    ],
)
def test_a_wrong_parameter_ends_the_process_with_one_sentence(start_node, argument, sentence):
    code, output = start_node("-p", argument).end()
    assert code == 2 and sentence in output and "Traceback" not in output, output


def test_help_is_printed_and_no_node_starts(start_node):
    code, output = start_node("--help").end()
    assert code == 0 and output.startswith("Usage: lisa_node") and "Traceback" not in output


def test_two_namespaces_answer_apart(start_node, make_peer, make_image):
    peers = {}
    for namespace in ("/left", "/right"):
        start_node("-r", f"__ns:={namespace}")
        peers[namespace] = make_peer(node=f"{namespace}/lisa", image=f"{namespace}/image")
    for namespace, peer in peers.items():
        peer.wait_for("active")
        image = make_image()
        result = peer.ask_about(image, f"where is {namespace}?")
        assert (result.verdict, result.header) == (Result.FOUND, image.header)
    for namespace, peer in peers.items():
        assert {result.query for result in peer.results} == {f"where is {namespace}?"}
