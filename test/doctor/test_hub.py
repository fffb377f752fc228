from __future__ import annotations

import pytest

from lisa_ros.doctor.findings import Status


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for name in ("HF_HUB_CACHE", "TRANSFORMERS_OFFLINE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "not" / "yet" / "there"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_offline_asks_nobody(examine, tmp_path):
    findings = examine("hub")
    assert {finding.status for finding in findings.values()} == {Status.OK}
    assert "offline by HF_HUB_OFFLINE" in findings["hub"].words
    assert str(tmp_path) in findings["hub cache"].words and "HF_HUB_OFFLINE=1" in findings["hub cache"].words
    assert not (tmp_path / "not").exists(), "the doctor changes nothing"


def test_a_hub_out_of_reach_is_a_warning(examine, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    finding = examine("hub")["hub"]
    assert finding.status is Status.WARNING and "http://127.0.0.1:9 cannot be reached" in finding.words


@pytest.mark.parametrize("home", ["/proc/no/such", "/dev/null/cache"])
def test_a_cache_that_cannot_be_written_is_a_warning(examine, monkeypatch, home):
    monkeypatch.setenv("HF_HOME", home)
    finding = examine("hub")["hub cache"]
    assert finding.status is Status.WARNING and "set HF_HOME" in finding.remedy
