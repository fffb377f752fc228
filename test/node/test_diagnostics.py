from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from lisa_ros.node.diagnostics import level_and_message


@pytest.mark.parametrize(
    ("fault", "warning", "expected"),
    [
        ("", "", (DiagnosticStatus.OK, "active")),
        ("", "No camera.", (DiagnosticStatus.WARN, "No camera.")),
        ("No model.", "No camera.", (DiagnosticStatus.ERROR, "No model.")),
    ],
)
def test_a_fault_comes_before_a_warning_before_the_state(fault, warning, expected):
    assert level_and_message("active", fault, warning) == expected
