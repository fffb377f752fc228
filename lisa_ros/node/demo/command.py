"""The whole demo, from the command line to the last line."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from lisa_ros.node.demo.arguments import Options, parse
from lisa_ros.node.demo.cases import Case, bundled_frames, read_cases, user_cases
from lisa_ros.node.demo.client import Client
from lisa_ros.node.demo.console import Console
from lisa_ros.node.demo.errors import DemoError
from lisa_ros.node.demo.outcomes import Outcome, judge, succeeded, summary
from lisa_ros.node.demo.photo import make_photo_folder
from lisa_ros.node.demo.pictures import contact_sheet, draw, save
from lisa_ros.node.demo.processes import (
    CAMERA,
    LISA_NODE,
    Processes,
    camera_command,
    lisa_node_command,
    set_environment,
)
from lisa_ros.simulation.frames import FrameError, FrameFolder

INTERRUPTED = 130
CONTACT_SHEET = "contact_sheet.jpg"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return 0 if the answers are good enough, 1 if not, 2 if there are none, 130 after Ctrl-C."""
    options = parse(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # requests may hold letters that the terminal does not know
    _treat_every_end_as_ctrl_c()
    try:
        with ExitStack() as stack:
            return _run(options, stack)
    except (DemoError, FrameError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ndemo: interrupted.", file=sys.stderr)
        return INTERRUPTED


def _treat_every_end_as_ctrl_c() -> None:
    """Let every signal that asks for the end go through the same door, so that no process stays behind."""
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup sees to it that a closed terminal is no end
        signals.append(signal.SIGHUP)
    for number in signals:
        signal.signal(number, signal.default_int_handler)


def _run(options: Options, stack: ExitStack) -> int:
    folder, cases = _what_to_ask(options, stack)
    logs = _make_output(options.output)
    console = Console(sys.stdout)
    set_environment(logs)
    processes = stack.enter_context(Processes(logs))

    def watch() -> None:
        processes.check()
        console.tick()

    console.say(_introduction(folder, cases))
    processes.start(LISA_NODE, lisa_node_command(options.backend, options.model))
    processes.start(CAMERA, camera_command(folder.path))
    client = stack.enter_context(Client(watch))
    with console.step("starting lisa_node and the camera"):
        client.wait_for_nodes()
    with console.step("loading the model"):
        model = client.wait_until_active()
    console.say(f"The answers come from {model}.")
    outcomes = _ask_all(client, console, folder, cases, options)
    return _conclude(console, outcomes, options.output)


def _what_to_ask(options: Options, stack: ExitStack) -> tuple[FrameFolder, list[Case]]:
    if options.image is not None:
        temporary = stack.enter_context(TemporaryDirectory(prefix="lisa_demo_"))
        return make_photo_folder(options.image, Path(temporary, options.image.stem)), user_cases(options.queries)
    folder = FrameFolder(options.frames or bundled_frames())
    return folder, read_cases(folder)


def _make_output(output: Path) -> Path:
    """Make the folder for pictures; return the one for logs inside it."""
    logs = output / "log"
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DemoError(
            f"The folder {output} cannot be made ({error.strerror}); choose another with --output."
        ) from error
    return logs


def _introduction(folder: FrameFolder, cases: Sequence[Case]) -> str:
    requests = "1 request" if len(cases) == 1 else f"{len(cases)} requests"
    frames = len({case.position for case in cases})
    return f"{requests} about {frames} {'picture' if frames == 1 else 'pictures'} of {folder.path.name}"


def _ask_all(
    client: Client, console: Console, folder: FrameFolder, cases: Sequence[Case], options: Options
) -> list[Outcome]:
    outcomes, pictures = [], []
    console.head(is_judged=options.image is None)
    for number, case in enumerate(cases, start=1):
        frame = folder[case.position]
        outcome = judge(case, frame, client.ask(case.position, case.text))
        console.row(number, outcome)
        outcomes.append(outcome)
        pictures.append(draw(frame.rgb, outcome))
        save(pictures[-1], options.output / f"{folder.path.name}_{number:02d}.jpg")
    save(contact_sheet(pictures), options.output / CONTACT_SHEET)
    return outcomes


def _conclude(console: Console, outcomes: Sequence[Outcome], output: Path) -> int:
    is_good = succeeded(outcomes)
    console.end(summary(outcomes), is_good)
    console.say(f"The pictures are in {output}; {output / CONTACT_SHEET} shows them at a glance.")
    return 0 if is_good else 1
