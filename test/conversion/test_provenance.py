from __future__ import annotations

import hashlib

import pytest
import torch

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


@pytest.mark.parametrize("fault", ["one bit", "not finite"])
def test_a_shard_whose_numbers_are_wrong_is_refused(published, convert, capfd, fault):
    shard = sorted(published.folder.glob("pytorch_model-*.bin"))[0]
    if fault == "one bit":
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
    else:
        weights = torch.load(shard, weights_only=True)
        max(weights.values(), key=torch.numel)[0] = torch.nan
        torch.save(weights, shard)
    assert convert(published.folder, "--vision-tower", published.clip) == 1
    (complaint,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("lisa convert: ")]
    expected = "is damaged: the checksum of" if fault == "one bit" else "holds values that are not finite in"
    assert expected in complaint and shard.name in complaint
