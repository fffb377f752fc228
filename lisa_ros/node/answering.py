"""What the worker thread does with a query: find the frame, look at it once, ask, publish."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace

from rclpy.impl.rcutils_logger import RcutilsLogger
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from lisa_ros.answers import Answer, Finished, MaskReady, Request, SegmentedObject, Verdict
from lisa_ros.node.counts import Cause, Counts, QueryError
from lisa_ros.node.images import ImageError, Rgb, compressed_to_rgb, to_rgb
from lisa_ros.node.jobs import Frame, LatestFrame
from lisa_ros.node.parameters import Parameters
from lisa_ros.node.publishing import MAX_OBJECTS, Publishers
from lisa_ros.segmenter import Segmenter, View

FIRST_IMAGE_SECONDS = 1.0
"""How long a query waits for the very first image: it may come right after the network is loaded."""


@dataclass(frozen=True, slots=True)
class Query:
    """One message of ``~/query`` with its id, unique in the life of the node; ``received`` is monotonic seconds."""

    id: int
    text: str
    request: Request
    received: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Look:
    """A frame that was looked at: its pixels and what the network keeps of it."""

    frame: Frame
    rgb: Rgb
    view: View


class Reports:
    """Tells the world how a query ended: a result, the counts, a line of log. Any thread may use it."""

    def __init__(self, publishers: Publishers, counts: Counts, logger: RcutilsLogger) -> None:
        self._publishers = publishers
        self._counts = counts
        self._logger = logger

    def failure(self, query_id: int, text: str, error: QueryError, header: Header | None = None) -> None:
        """Publish a ``FAILED`` result with one sentence; ``header`` is of the image looked at, if there was one."""
        sentence = str(error)
        answer = Answer(Verdict.FAILED, "", error=sentence)
        self._counts.failed(error.cause, sentence)
        self._logger.warning(f"Query {query_id} failed: {sentence}")
        self._publishers.result(query_id, text, header or Header(), answer)

    def answer(self, query: Query, header: Header, answer: Answer, objects_left_out: int) -> None:
        """Publish an answer."""
        milliseconds = 1000.0 * (time.monotonic() - query.received)
        answer = replace(answer, timings={**answer.timings, "query_to_result": milliseconds})
        self._counts.answered(answer.verdict, milliseconds, objects_left_out)
        self._publishers.result(query.id, query.text, header, answer)
        self._logger.info(f"Query {query.id}: {answer.verdict.value} in {milliseconds:.0f} ms: {answer.words}")


class Answerer:
    """Answers queries one at a time with one Segmenter; used by the worker thread alone.

    ``image_problem`` returns why no image arrives, ``parameters`` the present parameters.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        frames: LatestFrame,
        image_problem: Callable[[], str],
        parameters: Callable[[], Parameters],
        publishers: Publishers,
        reports: Reports,
    ) -> None:
        self._segmenter = segmenter
        self._frames = frames
        self._image_problem = image_problem
        self._parameters = parameters
        self._publishers = publishers
        self._reports = reports
        self._look: Look | None = None

    def answer(self, query: Query, stop: threading.Event) -> None:
        """Publish the answer to one query, or the reason why there is none."""
        header = None
        timings = {"waiting": 1000.0 * (time.monotonic() - query.received)}
        try:
            parameters = self._parameters()
            frame = self._current_frame(parameters.image_timeout)
            header = frame.message.header
            look = self._look_at(frame, timings)
            answer = self._ask(look, query, parameters.score_threshold, stop)
            confident = keep_confident(answer, parameters.score_threshold)
            left_out = len(answer.objects) - len(confident.objects)
            self._reports.answer(query, header, replace(confident, timings={**timings, **answer.timings}), left_out)
            self._publishers.overlay(
                header, look.rgb, confident.objects, parameters.overlay_color, parameters.overlay_alpha
            )
        except Exception as error:
            explained = _explain(error)
            if explained.cause is Cause.NETWORK:
                self._look = None
            self._reports.failure(query.id, query.text, explained, header)

    def _current_frame(self, timeout: float) -> Frame:
        frame = self._frames.wait(FIRST_IMAGE_SECONDS)
        if frame is not None and (not timeout or frame.age <= timeout):
            return frame
        came = f"the last image arrived {frame.age:.1f} s ago" if frame else "no image has arrived"
        raise QueryError(Cause.NO_IMAGE, f"There is no image to look at: {came}. {self._image_problem()}".strip())

    def _look_at(self, frame: Frame, timings: dict[str, float]) -> Look:
        """Look at the frame, unless an earlier query did; add the milliseconds of each stage to ``timings``."""
        if self._look is None or self._look.frame is not frame:
            self._look = None  # frees the memory of the last view before the next is made
            started = time.monotonic()
            rgb = _rgb_of(frame)
            converted = time.monotonic()
            view = self._segmenter.look(rgb)
            timings["conversion"] = 1000.0 * (converted - started)
            timings["look"] = 1000.0 * (time.monotonic() - converted)
            self._look = Look(frame, rgb, view)
        return self._look

    def _ask(self, look: Look, query: Query, threshold: float, stop: threading.Event) -> Answer:
        """Return the finished answer; the mask leaves on ``~/mask`` as soon as it is known, and again when it grows."""
        header, size = look.frame.message.header, look.view.size
        shown: list[SegmentedObject] = []
        with closing(self._segmenter.ask(look.view, query.request)) as events:  # type: ignore[type-var]
            for event in events:
                if stop.is_set():
                    raise QueryError(Cause.STOPPED, "The node was deactivated before the answer was complete.")
                if isinstance(event, MaskReady) and event.object.score >= threshold:
                    shown.append(event.object)
                    self._publishers.mask(header, size, shown)
                elif isinstance(event, Finished):
                    return self._complete(event.answer, header, size, shown)
        raise QueryError(Cause.NETWORK, "The network ended without an answer.")

    def _complete(self, answer: Answer, header: Header, size: tuple[int, int], shown: list[SegmentedObject]) -> Answer:
        """Send a blank mask for an answer without objects, so that no listener keeps an old one for it."""
        if answer.verdict is Verdict.FAILED:
            raise QueryError(Cause.NETWORK, answer.error or "The network failed without a reason.")
        if not shown:
            self._publishers.mask(header, size, ())
        return answer


def keep_confident(answer: Answer, threshold: float) -> Answer:
    """Return the answer with only the objects that score ``threshold`` or more, the first ``MAX_OBJECTS`` of them.

    An answer that found something and loses all of it becomes ``NOT_PRESENT``.
    """
    objects = tuple(found for found in answer.objects if found.score >= threshold)[:MAX_OBJECTS]
    lost_all = answer.verdict is Verdict.FOUND and not objects
    return replace(answer, objects=objects, verdict=Verdict.NOT_PRESENT if lost_all else answer.verdict)


def _rgb_of(frame: Frame) -> Rgb:
    return compressed_to_rgb(frame.message) if isinstance(frame.message, CompressedImage) else to_rgb(frame.message)


def one_line(error: Exception) -> str:
    """Return what an exception says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _explain(error: Exception) -> QueryError:
    """Return why a query failed in the words of a user."""
    if isinstance(error, QueryError):
        return error
    if isinstance(error, ImageError):
        return QueryError(Cause.BROKEN_IMAGE, str(error))
    return QueryError(Cause.NETWORK, f"The network failed on this query: {one_line(error)}.")
