from __future__ import annotations

import os
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from lisa_ros.conversion.hashing import sha256_of
from lisa_ros.conversion.unpickling import RefusedFileError, WeightFiles, require_safe_torch


class Payload:
    """What an attacker would put among the weights."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.fixture
def weights():
    return {"a": torch.randn(5, 3).to(torch.bfloat16), "b": torch.randn(4), "ids": torch.arange(3)}


def saved(path, weights, kind):
    if kind == "safetensors":
        path = path.with_suffix(".safetensors")
        save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=kind == "zip")
    return path


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_what_is_listed_and_written_is_what_the_file_holds(tmp_path, weights, kind):
    files, path = WeightFiles(), saved(tmp_path / "weights.bin", weights, kind)
    assert files.listed(path) == {"a": ("bfloat16", [5, 3]), "b": ("float32", [4]), "ids": ("int64", [3])}
    entries = [{"name": f"new.{name}", "path": str(path), "stored": name, "rows": None} for name in ("b", "a")]
    written = files.written(tmp_path / "out.safetensors", entries)
    found = load_file(tmp_path / "out.safetensors")
    assert set(found) == {"new.a", "new.b"}
    assert all(torch.equal(found[f"new.{name}"], weights[name]) for name in "ab")
    assert found["new.a"].dtype is torch.bfloat16
    out = tmp_path / "out.safetensors"
    assert written == {"size": out.stat().st_size, "sha256": sha256_of(out)}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.safetensors", path.name]


def test_tensors_of_several_files_go_into_one(tmp_path, weights):
    paths = [saved(tmp_path / f"{kind}.bin", weights, kind) for kind in ("zip", "legacy", "safetensors")]
    entries = [{"name": path.name, "path": str(path), "stored": "a", "rows": None} for path in paths]
    WeightFiles().written(tmp_path / "out.safetensors", entries)
    found = load_file(tmp_path / "out.safetensors")
    assert len(found) == 3 and all(torch.equal(value, weights["a"]) for value in found.values())


def test_new_rows_are_the_mean_of_the_old_ones(tmp_path, weights):
    path = saved(tmp_path / "weights.bin", weights, "zip")
    entry = {"name": "a", "path": str(path), "stored": "a", "rows": 7}
    WeightFiles().written(tmp_path / "out.safetensors", [entry])
    found = load_file(tmp_path / "out.safetensors")["a"]
    assert torch.equal(found[:5], weights["a"]) and found.dtype is torch.bfloat16
    assert torch.equal(found[5:], weights["a"].float().mean(0).to(torch.bfloat16).expand(2, -1))


def test_views_of_one_memory_are_written_apart(tmp_path):
    whole = torch.arange(12.0).view(3, 4)
    path = saved(tmp_path / "weights.bin", {"top": whole[:1], "turned": whole.T, "again": whole}, "zip")
    entries = [{"name": name, "path": str(path), "stored": name, "rows": None} for name in ("top", "turned", "again")]
    WeightFiles().written(tmp_path / "out.safetensors", entries)
    found = load_file(tmp_path / "out.safetensors")
    assert torch.equal(found["top"], whole[:1]) and torch.equal(found["turned"], whole.T)
    assert torch.equal(found["again"], whole)


@pytest.mark.parametrize("kind", ["zip", "legacy", "bare"])
def test_a_pickle_that_asks_for_more_than_tensors_is_refused_and_not_run(tmp_path, weights, kind):
    path, trace = tmp_path / "weights.bin", tmp_path / "was run"
    content = weights | {"c": Payload(f"touch '{trace}'")}
    if kind == "bare":
        path.write_bytes(pickle.dumps(content["c"], protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(RefusedFileError) as error:
        WeightFiles().listed(path)
    assert str(error.value) == (
        f"{path} was refused and nothing in it was run: it asks for posix.system, which no file of weights needs, "
        "so it may be harmful; get it again from its publisher and compare the checksum."
    )
    assert not trace.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol 4")
def test_a_pickle_in_a_form_that_torch_does_not_write_is_not_run_and_nothing_unsafe_is_advised(tmp_path):
    trace = tmp_path / "was run"
    (tmp_path / "weights.bin").write_bytes(pickle.dumps(Payload(f"touch '{trace}'"), protocol=4))
    with pytest.raises(RefusedFileError, match="no file of weights") as error:
        WeightFiles().listed(tmp_path / "weights.bin")
    assert "weights_only" not in str(error.value) and not trace.exists()


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("keep", [0, 3, 100, -40])
def test_a_truncated_file_is_told_as_such(tmp_path, weights, kind, keep):
    path = saved(tmp_path / "weights.bin", weights, kind)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RefusedFileError, match=r"is (truncated, damaged|damaged or not).*; get it again .*checksum\.$"):
        WeightFiles().listed(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([torch.zeros(1)], "holds list instead of named tensors"),
        ({"a": 1}, "holds int under 'a' instead of a plain tensor"),
        ({3: torch.zeros(1)}, "holds Tensor under 3 instead of a plain tensor"),
        ({"a": torch.eye(3).to_sparse()}, "holds Tensor under 'a' instead of a plain tensor"),
    ],
)
def test_a_pickle_of_something_else_is_told_as_such(tmp_path, content, told):
    torch.save(content, tmp_path / "weights.bin")
    with pytest.raises(RefusedFileError, match=told):
        WeightFiles().listed(tmp_path / "weights.bin")


def test_a_pointer_in_place_of_a_file_names_its_remedy(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9976578928\n")
    with pytest.raises(RefusedFileError, match="pointer of Git LFS in place of the file; run 'git lfs pull' there"):
        WeightFiles().listed(path)


def test_what_cannot_be_read_or_written_names_the_file(tmp_path, weights):
    with pytest.raises(RefusedFileError, match=r"missing\.bin cannot be read: No such file"):
        WeightFiles().listed(tmp_path / "missing.bin")
    path = saved(tmp_path / "weights.bin", weights, "zip")
    entry = {"name": "a", "path": str(path), "stored": "a", "rows": None}
    with pytest.raises(RefusedFileError, match=r"nowhere/out\.safetensors cannot be written"):
        WeightFiles().written(tmp_path / "nowhere" / "out.safetensors", [entry])


@pytest.mark.parametrize("version", ["2.9.1", "1.13.1+cu117", "2.4"])
def test_a_torch_whose_unpickler_can_be_got_around_is_refused(version):
    with pytest.raises(
        RefusedFileError, match=f"torch {version.replace('+', '.')} cannot open pickles safely .*torch>=2.10"
    ):
        require_safe_torch(version)


@pytest.mark.parametrize("version", ["2.10.0", "2.13.0+cpu", "3.0"])
def test_a_torch_that_is_safe_is_accepted(version):
    require_safe_torch(version)


def test_no_pickle_is_opened_by_an_unsafe_torch(tmp_path, weights, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.9.0")
    with pytest.raises(RefusedFileError, match="2.9.0 cannot open pickles safely"):
        WeightFiles().listed(saved(tmp_path / "weights.bin", weights, "zip"))
    assert WeightFiles().listed(saved(tmp_path / "weights.bin", weights, "safetensors"))
