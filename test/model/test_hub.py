from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lisa_ros.model.hub import SourceError, resolved_source

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
RESOLVE = """
import sys
from lisa_ros.model.hub import SourceError, resolved_source
try:
    found = resolved_source("publisher/LISA-7B", revision=(sys.argv[1:] or [None])[0], patterns=["*.json", "*.bin"])
    print(found.folder, found.name, found.revision)
except SourceError as error:
    print(error)
"""


def resolve(cache, *arguments, **environment):
    """Resolve a hub id in a process of its own, where the hub's variables are read afresh."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    command = [sys.executable, "-c", RESOLVE, *arguments]
    variables = kept | {"HF_HOME": str(cache)} | environment
    result = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True, timeout=15)
    return result.stdout.strip()


def made_up_cache(home, *files):
    repository = home / "hub" / "models--publisher--LISA-7B"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    for name in files:
        (snapshot / name).write_bytes(b"{}")
    return snapshot


def test_a_folder_is_used_as_it_is(tmp_path):
    found = resolved_source(tmp_path, patterns=["*.json"])
    assert (found.folder, found.name, found.revision) == (tmp_path, str(tmp_path), None)


def test_what_is_meant_as_a_folder_is_never_asked_of_the_hub(tmp_path, monkeypatch):
    with pytest.raises(SourceError, match=r"folder .*nowhere does not exist; give a folder with \*\.json, or a hub id"):
        resolved_source(tmp_path / "nowhere", patterns=["*.json"])
    (tmp_path / "weights.bin").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="is a file, not a folder"):
        resolved_source("weights.bin", patterns=["*.json"])
    with pytest.raises(SourceError, match="a folder has no revision 'v1'"):
        resolved_source(tmp_path, revision="v1", patterns=["*.json"])


def test_a_name_that_cannot_be_an_id_is_quoted():
    with pytest.raises(SourceError, match="'two words' is neither a folder here nor an id of the hub"):
        resolved_source("two words", patterns=["*.json"])


@pytest.mark.parametrize("environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
@pytest.mark.parametrize("revision", [[], ["main"], [COMMIT]])
def test_without_a_connection_a_snapshot_in_the_cache_is_enough_and_its_commit_is_told(tmp_path, environment, revision):
    snapshot = made_up_cache(tmp_path, "config.json", "pytorch_model.bin")
    assert resolve(tmp_path, *revision, **environment) == f"{snapshot} publisher/LISA-7B {COMMIT}"


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "the hub cannot be reached ([Errno 111] Connection refused)"),
    ],
)
def test_without_connection_and_files_one_sentence_says_what_to_bring_where(tmp_path, environment, reason):
    cached = tmp_path / "hub" / "models--publisher--LISA-7B"
    assert resolve(tmp_path, "v1", **environment) == (
        f"The files *.json, *.bin of publisher/LISA-7B are not all in the cache, and {reason}: where there is a "
        "network, run \"hf download publisher/LISA-7B --revision v1 --include '*.json' --include '*.bin'\" and bring "
        f"what it downloads to {cached}/, or bring the files in any folder and give that folder instead."
    )


def test_a_snapshot_without_any_file_asked_for_is_not_enough(tmp_path):
    made_up_cache(tmp_path, "README.md")
    message = resolve(tmp_path, HF_HUB_OFFLINE="1")
    assert "*.json, *.bin of publisher/LISA-7B are not all in the cache" in message and "none of them" in message
