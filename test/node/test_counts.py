from __future__ import annotations

from lisa_ros.answers import Verdict
from lisa_ros.node.counts import Cause, Counts


def test_the_table_counts_answers_failures_and_latencies():
    counts = Counts()
    for milliseconds in range(1, 101):
        counts.answered(Verdict.FOUND, float(milliseconds), objects_left_out=0)
    counts.answered(Verdict.NOT_PRESENT, 50.0, objects_left_out=2)
    counts.failed(Cause.QUEUE_FULL, "Dropped.")
    counts.failed(Cause.QUEUE_FULL, "Dropped again.")
    table = counts.table()
    assert (table["answers.found"], table["answers.not_present"], table["answers.words_only"]) == ("100", "1", "0")
    assert (table["failed.queue_full"], table["failed.no_image"]) == ("2", "0")
    assert (table["objects left out"], table["last error"]) == ("2", "Dropped again.")
    assert table["latency p50 (ms)"] == "50.0" and 98.0 < float(table["latency p99 (ms)"]) < 100.0


def test_latencies_are_of_the_last_answers():
    counts = Counts(window=2)
    for milliseconds in (1000.0, 10.0, 20.0):
        counts.answered(Verdict.FOUND, milliseconds, 0)
    assert counts.table()["latency p50 (ms)"] == "15.0"


def test_a_table_without_answers_is_printable():
    assert Counts().table()["latency p99 (ms)"] == "0.0"
