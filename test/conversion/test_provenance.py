from __future__ import annotations

import hashlib

import pytest

from lisa_ros.conversion.errors import ConversionError
from lisa_ros.conversion.provenance import Source, content_of
from lisa_ros.model.hub import ResolvedSource


def described(folder, *names):
    resolved = ResolvedSource(folder, "publisher/model", "abc")
    counts = []
    source = Source.of("LISA", resolved, [folder / name for name in names])
    return source.described(counts.append), sum(counts), source.size


def test_files_are_described_by_their_checksums_and_absent_ones_left_out(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"weights")
    told, counted, size = described(tmp_path, "a.bin", "added_tokens.json", "a.bin")
    checksum = hashlib.sha256(b"weights").hexdigest()
    assert told == {
        "part": "LISA",
        "name": "publisher/model",
        "revision": "abc",
        "files": [{"name": "a.bin", "size": 7, "sha256": checksum}],
    }
    assert counted == size == 7
    assert content_of([told]) == [["LISA", "a.bin", checksum]]


def test_a_file_of_the_hub_whose_content_is_not_what_its_cache_says_is_damaged(tmp_path):
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    blob = blobs / hashlib.sha256(b"weights").hexdigest()
    blob.write_bytes(b"weights")
    (tmp_path / "a.bin").symlink_to(blob)
    assert described(tmp_path, "a.bin")[0]["files"][0]["sha256"] == blob.name
    blob.write_bytes(b"wEights")
    with pytest.raises(ConversionError, match=rf"a\.bin is damaged: its SHA-256 is .* instead of {blob.name}"):
        described(tmp_path, "a.bin")
