from __future__ import annotations

import pytest

from lisa_ros.doctor.child_process import findings_of
from lisa_ros.doctor.findings import Options, Status
from lisa_ros.doctor.groups import Group

CHECKS = """
import os, sys, time
from lisa_ros.doctor.findings import ok, warning

def good(options):
    print("noise of a library")
    os.write(1, b"noise of a library in C\\n")
    return ok(f"looked at {options.model}", figure=1)

def raises(options):
    raise RuntimeError("first line\\nsecond line")

def dies(options):
    print("what it said last", file=sys.stderr)
    os.abort()

def leaves(options):
    os._exit(3)

def hangs(options):
    time.sleep(60)

def silent(options):
    return None

def last(options):
    return warning("words", "remedy")

CHECKS = {function.__name__: function for function in (good, raises, dies, leaves, hangs, silent, last)}
"""


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checks")
    (folder / "some_checks.py").write_text(CHECKS)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(folder)
        return dict(findings_of(Group(("some_checks",)), Options("a model"), seconds=3.0))


def test_every_check_is_heard_in_order_whatever_the_others_do(findings):
    assert list(findings) == ["good", "raises", "dies", "leaves", "hangs", "last"]
    assert (findings["good"].status, findings["good"].words) == (Status.OK, "looked at a model")
    assert findings["good"].facts == {"figure": 1}
    assert (findings["last"].status, findings["last"].words, findings["last"].remedy) == ("warning", "words", "remedy")


def test_a_check_that_fails_is_a_problem_in_one_line(findings):
    faults = {title: finding for title, finding in findings.items() if finding.status is Status.PROBLEM}
    assert {title: finding.words for title, finding in faults.items()} == {
        "raises": "This check itself failed (RuntimeError: first line).",
        "dies": "This check was ended by SIGABRT (what it said last).",
        "leaves": "This check ended its process with exit code 3.",
        "hangs": "This check did not end within 3 s.",
    }
    assert all(finding.remedy for finding in faults.values())


def test_what_the_package_can_do_without_is_only_a_warning(tmp_path, monkeypatch):
    (tmp_path / "few_checks.py").write_text(CHECKS + "CHECKS = {'dies': dies, 'raises': raises}")
    monkeypatch.syspath_prepend(tmp_path)
    findings = dict(findings_of(Group(("few_checks",), is_needed=False), Options()))
    assert {title: finding.status for title, finding in findings.items()} == {"dies": "warning", "raises": "warning"}
