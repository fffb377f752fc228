"""The command ``lisa doctor``: one line a check, and an exit code that says whether the package can work."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from lisa_ros.doctor.child_process import findings_of
from lisa_ros.doctor.findings import Finding, Options, Status
from lisa_ros.doctor.groups import GROUPS

INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lisa doctor``."""
    parser.add_argument("--model", default="", metavar="FOLDER", help="look at this model (default: the embedded one)")
    parser.add_argument("--full", action="store_true", help="hash and try large models too, however long it takes")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON that holds everything")


def run(arguments: argparse.Namespace) -> int:
    """Print every finding; returns 1 when a problem stops the package, 130 after Ctrl-C, else 0."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # paths and answers may hold letters that the terminal does not know
    findings: dict[str, Finding] = {}
    try:
        for title, finding in _all_findings(Options(arguments.model, arguments.full)):
            findings[title] = finding
            remedy = f" -> {finding.remedy}" if finding.remedy else ""
            print(f"{finding.status.value:8s} {title:14s} {finding.words}{remedy}", flush=True)
    except KeyboardInterrupt:
        print("lisa doctor: interrupted.", file=sys.stderr)
        return INTERRUPTED
    problems, warnings = (_count(findings, status) for status in (Status.PROBLEM, Status.WARNING))
    verdict = "lisa_ros cannot work here" if problems else "lisa_ros can work here"
    print(f"{verdict} (problems: {problems}, warnings: {warnings}).")
    if arguments.json:
        checks = {title: finding.to_dict() for title, finding in findings.items()}
        print(json.dumps({"problems": problems, "warnings": warnings, "checks": checks}))
    return 1 if problems else 0


def _all_findings(options: Options) -> Iterator[tuple[str, Finding]]:
    """Yield everything in the order of the report; two groups are at work at a time."""
    with ThreadPoolExecutor(2) as pool:
        for findings in pool.map(lambda group: list(findings_of(group, options)), GROUPS.values()):
            yield from findings


def _count(findings: dict[str, Finding], status: Status) -> int:
    return sum(finding.status is status for finding in findings.values())
