"""Transitions of a real node: what each state answers, and that a failed configuration can be tried again."""

from __future__ import annotations

import signal

from lisa_ros.msg import Result

UP_AND_DOWN = [
    ("configure", "inactive"),
    ("activate", "active"),
    ("deactivate", "inactive"),
    ("cleanup", "unconfigured"),
]


def test_up_and_down_twice_then_shutdown(start_node, make_peer, make_image):
    node, peer = start_node("-p", "autostart:=false"), make_peer()
    peer.wait_for("unconfigured")
    for transition, state in 2 * UP_AND_DOWN:
        assert peer.change(transition) and peer.state() == state
        if state == "active":
            assert peer.ask_about(make_image(), "where?").verdict == Result.FOUND
        else:
            result = peer.ask("where?")
            assert result.verdict == Result.FAILED and f"The node is {state}" in result.error
    assert peer.change("shutdown") and peer.state() == "finalized"
    assert "finalized" in peer.ask("where?").error
    code, output = node.end(signal.SIGINT)
    assert code == 0 and "Traceback" not in output


def test_shutdown_of_an_active_node_stops_it(start_node, make_peer):
    start_node()
    peer = make_peer()
    peer.wait_for("active")
    assert peer.change("shutdown") and peer.state() == "finalized"
    assert peer.ask("where?").verdict == Result.FAILED


def test_an_image_from_before_a_deactivation_is_forgotten(start_node, make_peer, make_image):
    start_node()
    peer = make_peer()
    peer.wait_for("active")
    peer.ask_about(make_image(), "where?")
    assert peer.change("deactivate") and peer.change("activate")
    assert "no image has arrived" in peer.ask("where?").error


def test_a_missing_model_leaves_the_node_unconfigured_and_it_can_be_tried_again(start_node, make_peer, make_image):
    node, peer = start_node("-p", "backend:=lisa", "-p", "model:=/no/such/folder"), make_peer()
    peer.wait_for("unconfigured")
    result = peer.ask("where?")
    assert result.verdict == Result.FAILED and "'/no/such/folder' does not exist" in result.error
    peer.wait(lambda: peer.diagnostics and peer.diagnostics[-1].status[0].level == b"\x02", "an error in diagnostics")
    assert "'/no/such/folder' does not exist" in peer.diagnostics[-1].status[0].message
    assert not peer.change("configure") and peer.state() == "unconfigured"
    assert peer.set_parameter("backend", "scripted").successful
    assert peer.change("configure") and peer.change("activate")
    assert peer.ask_about(make_image(), "where?").verdict == Result.FOUND
    code, output = node.end(signal.SIGINT)
    assert code == 0 and "Traceback" not in output


def test_deactivation_fails_the_running_and_the_waiting_queries(start_node, make_peer, make_image):
    start_node("-p", "scripted_delay:=1.0")
    peer = make_peer()
    peer.wait_for("active")
    peer.ask_about(make_image(), "first")
    peer.keep_busy("running", "waiting")
    seen = len(peer.results)
    assert peer.change("deactivate") and peer.state() == "inactive"
    peer.wait(lambda: len(peer.results) == seen + 2, "two results")
    # Whether the first of them was begun already is up to the threads.
    errors = {result.query: result.error for result in peer.results[seen:]}
    assert errors["running"].startswith("The node was deactivated before ")
    assert errors["waiting"] == "The node was deactivated before it could answer."


def test_a_full_queue_drops_the_oldest_and_says_and_counts_it(start_node, make_peer, make_image):
    start_node("-p", "scripted_delay:=0.5", "-p", "queue_size:=1")
    peer = make_peer()
    peer.wait_for("active")
    peer.ask_about(make_image(), "first")
    seen = len(peer.results)
    for text in ("a", "b", "c", "d"):
        peer.query(text)
    peer.wait(lambda: len(peer.results) == seen + 4, "four results")
    answers = {result.query: result.error for result in peer.results[seen:]}
    assert answers["d"] == ""
    dropped = [error for error in answers.values() if error]
    assert 2 <= len(dropped) <= 3
    assert all(error.startswith("The query was dropped because the queue of 1 was full;") for error in dropped)
    peer.wait(lambda: peer.status("failed.queue_full") == str(len(dropped)), "the count of dropped queries")
