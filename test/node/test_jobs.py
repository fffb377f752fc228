from __future__ import annotations

import threading

import pytest

from lisa_ros.node.jobs import Jobs, LatestFrame, Worker


def test_the_slot_keeps_the_newest_frame_until_it_is_cleared():
    frames = LatestFrame()
    assert frames.get() is None
    frames.put("first")
    first = frames.get()
    assert frames.get() is first
    frames.put("second")
    assert frames.get().message == "second" and frames.get() is not first
    assert frames.received_count == 2
    frames.clear()
    assert frames.get() is None


@pytest.mark.parametrize(
    ("newest_wins", "dropped", "kept"),
    [(True, [None, None, 1, 2], [3, 4]), (False, [None, None, 3, 4], [1, 2])],
)
def test_a_full_queue_hands_back_the_job_that_lost_its_place(newest_wins, dropped, kept):
    jobs = Jobs(2, newest_wins)
    assert [jobs.put(job) for job in (1, 2, 3, 4)] == dropped
    assert len(jobs) == 2
    assert [jobs.take(), jobs.take()] == kept


def test_a_closed_queue_returns_what_waited_and_refuses_more():
    jobs = Jobs(2)
    jobs.put("waiting")
    assert jobs.close() == ["waiting"]
    assert jobs.put("late") == "late"
    assert jobs.take() is None


class Recorder:
    """Work that can be made to fail or to last until it is told to stop."""

    def __init__(self):
        self.done, self.errors = [], []
        self.progress = threading.Semaphore(0)

    def work(self, job, stop):
        if job == "fail":
            raise RuntimeError("as told")
        if job == "last":
            self.progress.release()
            stop.wait(10)
        self.done.append((job, threading.get_ident()))
        self.progress.release()

    def on_error(self, job, error):
        self.errors.append((job, str(error)))
        self.progress.release()

    def wait_for(self, count):
        for _ in range(count):
            assert self.progress.acquire(timeout=10)


@pytest.fixture
def recorder():
    return Recorder()


def test_the_worker_does_jobs_in_order_on_one_other_thread_and_survives_an_error(recorder):
    jobs = Jobs(10)
    worker = Worker(jobs, recorder.work, recorder.on_error)
    for job in ("a", "fail", "b"):
        jobs.put(job)
    worker.start()
    recorder.wait_for(3)
    assert worker.stop(timeout=10) == (True, [])
    assert [job for job, _ in recorder.done] == ["a", "b"]
    assert recorder.errors == [("fail", "as told")]
    assert {thread for _, thread in recorder.done}.isdisjoint({threading.get_ident()})
    assert len({thread for _, thread in recorder.done}) == 1


def test_stopping_cancels_the_running_job_and_returns_the_waiting_ones(recorder):
    jobs = Jobs(10)
    worker = Worker(jobs, recorder.work, recorder.on_error)
    worker.start()
    jobs.put("last")
    recorder.wait_for(1)
    jobs.put("waiting")
    assert worker.stop(timeout=10) == (True, ["waiting"])
    assert [job for job, _ in recorder.done] == ["last"]


def test_stopping_says_when_the_job_does_not_end():
    release, jobs, started = threading.Event(), Jobs(1), threading.Event()

    def deaf(job, stop):
        started.set()
        release.wait(10)

    worker = Worker(jobs, deaf, lambda job, error: None)
    worker.start()
    jobs.put("deaf")
    assert started.wait(10)
    assert worker.stop(timeout=0.01) == (False, [])
    release.set()
    assert worker.stop(timeout=10) == (True, [])


def test_a_query_waits_for_the_first_frame_only():
    frames = LatestFrame()
    assert frames.wait(0.01) is None
    threading.Timer(0.05, frames.put, ["first"]).start()
    first = frames.wait(5.0)
    assert first is not None and first.message == "first"
    frames.put("second")
    assert frames.wait(5.0).message == "second"
    frames.clear()
    assert frames.wait(0.01) is None
