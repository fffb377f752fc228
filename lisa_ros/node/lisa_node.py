"""The lifecycle node ``lisa`` and the executable ``lisa_node``."""

from __future__ import annotations

import signal
import sys
from itertools import count
from types import FrameType
from typing import Any

import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_msgs.msg import String

from lisa_ros.answers import Mode, Request
from lisa_ros.model_folder import find_model
from lisa_ros.node import parameters as node_parameters
from lisa_ros.node.answering import Answerer, Query, Reports, one_line
from lisa_ros.node.camera import Camera
from lisa_ros.node.counts import Cause, Counts, QueryError
from lisa_ros.node.diagnostics import Diagnostics
from lisa_ros.node.jobs import Jobs, LatestFrame, Worker
from lisa_ros.node.parameters import ParameterError, Parameters
from lisa_ros.node.publishing import Publishers
from lisa_ros.node.qos import reliable
from lisa_ros.segmenter import Segmenter, make_segmenter

STOP_SECONDS = 30.0
"""How long a transition waits for the running answer to end."""
EXIT_SECONDS = 2.0
"""How long the end of the process waits for it; ``ros2 launch`` grows impatient after five."""
MATCH_PERIOD = 0.5
DIAGNOSTICS_PERIOD = 1.0


class LisaNode(LifecycleNode):
    """Answers requests in plain words about the newest camera image.

    The executor thread stores messages and runs transitions; one worker thread does everything else while the node is
    active. Configuring loads the network, which blocks the services of the node for as long as it takes. Takes the
    keyword arguments of ``rclpy.lifecycle.LifecycleNode``; raises ``ParameterError`` for a parameter that is not valid.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("lisa", **options)
        node_parameters.declare(self)
        self.add_on_set_parameters_callback(self._judge_parameters)
        self._counts = Counts()
        self._outputs = Publishers(self)
        self._reports = Reports(self._outputs, self._counts, self.get_logger())
        self._diagnostics = Diagnostics(self)
        self._frames = LatestFrame()
        self._camera = Camera(self, self._frames)
        self._segmenter: Segmenter | None = None
        self._queries: Jobs[Query] | None = None
        self._worker: Worker[Query] | None = None
        self._fault = ""
        self._ids = count(1)
        self.create_subscription(String, "~/query", self._on_query, reliable(10))
        # Steady, because with use_sim_time the clock of the node may stand still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(MATCH_PERIOD, self._camera.match, clock=steady)
        self.create_timer(DIAGNOSTICS_PERIOD, self._diagnose, clock=steady)

    @property
    def parameters(self) -> Parameters:
        """The present values."""
        return node_parameters.read(self)

    @property
    def state(self) -> str:
        """Label of the lifecycle state."""
        return self._state_machine.current_state[1]

    def start(self) -> None:
        """Configure and activate, if the parameter ``autostart`` says so."""
        if self.parameters.autostart and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network; on failure the node stays unconfigured and can be configured again."""
        parameters = self.parameters
        self._fault = ""
        self._diagnose()
        self.get_logger().info(f"Loading the backend {parameters.backend}.")
        try:
            self._segmenter = make_segmenter(parameters.backend, **backend_options(parameters))
        except Exception as error:
            self._fault = f"The network cannot be loaded: {one_line(error)}"
            self.get_logger().error(self._fault)
            return TransitionCallbackReturn.FAILURE
        self.get_logger().info(f"Loaded {self._segmenter.name}.")
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to images and start to answer."""
        assert self._segmenter is not None, "only a configured node is activated"
        result = super().on_activate(state)
        parameters = self.parameters
        answerer = Answerer(
            self._segmenter, self._frames, self._camera.problem, lambda: self.parameters, self._outputs, self._reports
        )
        self._queries = Jobs(parameters.queue_size, newest_wins=parameters.queue_policy == "newest")
        self._worker = Worker(self._queries, answerer.answer, self._on_worker_error)
        self._camera.open(parameters.image_transport, parameters.image_reliability)
        self._worker.start()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Cancel the running answer, fail the waiting queries and unsubscribe from images."""
        if not self._stop_answering(STOP_SECONDS):
            self.get_logger().error(f"The network did not stop within {STOP_SECONDS:.0f} s; restart the process.")
            return TransitionCallbackReturn.ERROR
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the network."""
        self._free_network()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop answering and free the network, from any state."""
        self.release(STOP_SECONDS)
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Leave the node finalized: a network that does not stop can neither be used again nor freed."""
        self._fault = "A transition failed; restart the process."
        return TransitionCallbackReturn.FAILURE

    def release(self, timeout: float) -> None:
        """Stop answering, waiting up to ``timeout`` seconds for the running answer, and free the network."""
        if self._stop_answering(timeout):
            self._free_network()

    def _stop_answering(self, timeout: float) -> bool:
        """Return whether the worker has ended."""
        self._camera.close()
        worker, self._worker, self._queries = self._worker, None, None
        if worker is None:
            return True
        ended, left = worker.stop(timeout)
        for query in left:
            self._reports.failure(
                query.id, query.text, QueryError(Cause.STOPPED, "The node was deactivated before it could answer.")
            )
        return ended

    def _free_network(self) -> None:
        segmenter, self._segmenter = self._segmenter, None
        if segmenter is not None:
            segmenter.close()

    def _on_query(self, message: String) -> None:
        """Queue a query, or publish at once why it will not be answered."""
        query_id, text = next(self._ids), message.data
        try:
            self._admit(query_id, text)
        except QueryError as error:
            self._reports.failure(query_id, text, error)

    def _admit(self, query_id: int, text: str) -> None:
        if self._queries is None:
            raise QueryError(Cause.NOT_ACTIVE, self._why_not_active())
        parameters = self.parameters
        try:
            request = Request(text, Mode(parameters.mode), parameters.max_new_tokens)
        except ValueError as error:
            raise QueryError(Cause.BAD_QUERY, str(error)) from error
        dropped = self._queries.put(Query(query_id, text, request))
        if dropped is not None:
            sentence = (
                f"The query was dropped because the queue of {parameters.queue_size} was full; "
                "ask more slowly or raise the parameter queue_size."
            )
            self._reports.failure(dropped.id, dropped.text, QueryError(Cause.QUEUE_FULL, sentence))

    def _why_not_active(self) -> str:
        remedy = {"unconfigured": "configure, then activate", "inactive": "activate"}.get(self.state, "restart it")
        fault = f" {self._fault}" if self._fault else ""
        return f"The node is {self.state} and answers only when it is active: {remedy} (ros2 lifecycle).{fault}"

    def _on_worker_error(self, query: Query, error: Exception) -> None:
        self.get_logger().error(f"The result of query {query.id} could not be published: {one_line(error)}")

    def _judge_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        return node_parameters.judge(self.parameters, changes, self.state == "unconfigured")

    def _diagnose(self) -> None:
        frame = self._frames.get()
        values = {
            "model": self._segmenter.name if self._segmenter else "",
            "queries waiting": str(len(self._queries)) if self._queries is not None else "0",
            "images received": str(self._frames.received_count),
            "image age (s)": f"{frame.age:.2f}" if frame else "",
            **self._counts.table(),
        }
        self._diagnostics.publish(self.state, self.parameters.device, self._fault, self._camera.problem(), values)


def backend_options(parameters: Parameters) -> dict[str, Any]:
    """Return the options of ``make_segmenter`` for the backend that the parameters name."""
    if parameters.backend == "scripted":
        return {"delay": parameters.scripted_delay}
    return {
        "model": find_model(parameters.model),
        "device": parameters.device,
        "dtype": parameters.dtype,
        "quantization": parameters.quantization,
        "threads": parameters.threads,
    }


USAGE = """Usage: lisa_node [--ros-args [-p PARAMETER:=VALUE]... [-r TOPIC:=OTHER]... [--params-file FILE]]

Answers requests in plain words about camera images: subscribes to image and ~/query, publishes ~/result and more.
Its parameters are described in config/lisa.yaml; `ros2 param describe /lisa NAME` tells the same of a running node."""


def main(args: list[str] | None = None) -> int:
    """Run the node until a signal ends it; return the exit status of the process."""
    if {"-h", "--help"} & set(sys.argv[1:] if args is None else args):
        print(USAGE)
        return 0
    executor: SingleThreadedExecutor | None = None
    node: LisaNode | None = None
    # Before rclpy.init, whose own handler ends the context and then calls this one.
    signal.signal(signal.SIGINT, _interrupt_once)
    try:
        rclpy.init(args=args)
        executor = SingleThreadedExecutor()
        node = LisaNode()
        executor.add_node(node)
        node.start()
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except rclpy_implementation.RCLError:
        if rclpy.ok():
            raise
        # A signal ended the context between two waits of the executor.
        return 0
    except ParameterError as error:
        print(f"lisa_node: {error}", file=sys.stderr)
        return 2
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if executor is not None:
            executor.shutdown()
        if node is not None:
            node.release(EXIT_SECONDS)
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    """Interrupt the main thread at the first Ctrl-C only: it reaches a launched node twice, by terminal and launch."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
