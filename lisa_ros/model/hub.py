"""Where the files of a checkpoint come from: a folder, or the Hugging Face hub and its cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

SECONDS_TO_ANSWER = 10.0


class SourceError(RuntimeError):
    """The files cannot be had; the message is one sentence that says which to bring where."""


@dataclass(frozen=True, slots=True)
class ResolvedSource:
    """A local folder with the files asked for.

    ``name`` is what the user called it; ``revision`` is the hub's commit, ``None`` for a plain folder.
    """

    folder: Path
    name: str
    revision: str | None


def resolved_source(source: str | Path, *, revision: str | None = None, patterns: Sequence[str]) -> ResolvedSource:
    """Return the folder of a source: a folder as it is, or the snapshot of a hub id, downloaded if need be.

    ``patterns`` are shell patterns of the file names that are wanted from the hub; ``revision`` is a branch, tag or
    commit there. ``HF_HUB_OFFLINE`` is honoured; without a connection a complete snapshot in the cache is enough.
    Raises ``SourceError``.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise SourceError(f"{source} is a folder, and a folder has no revision {revision!r}; leave it out.")
        return ResolvedSource(folder, str(source), None)
    if _is_meant_as_path(str(source)):
        kind = "is a file, not a folder" if folder.is_file() else "does not exist"
        raise SourceError(f"The folder {source} {kind}; give a folder with {_listed(patterns)}, or a hub id.")
    snapshot = _snapshot(str(source), revision, patterns)
    if not any(fnmatch(path.name, pattern) for path in snapshot.iterdir() for pattern in patterns):
        raise SourceError(
            _files_to_bring(str(source), revision, patterns, "its snapshot in the cache has none of them")
        )
    return ResolvedSource(snapshot, str(source), snapshot.name)


def _is_meant_as_path(source: str) -> bool:
    return Path(source).is_absolute() or source.startswith(("~", ".")) or source.count("/") > 1 or Path(source).exists()


def _snapshot(name: str, revision: str | None, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download

    failure = _failure_to_reach(name, revision)
    try:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=list(patterns), local_files_only=failure is not None
            )
        )
    except Exception as error:  # the hub's client passes on whatever the HTTP library beneath it raises
        raise SourceError(_explanation(name, revision, patterns, failure or error)) from error


def _failure_to_reach(name: str, revision: str | None) -> Exception | None:
    """Ask the hub one question that fails at once: a download tries for long before it gives up."""
    from huggingface_hub import HfApi

    try:
        HfApi().repo_info(name, revision=revision, timeout=SECONDS_TO_ANSWER)
    except Exception as error:  # as above
        return error
    return None


def _explanation(name: str, revision: str | None, patterns: Sequence[str], error: Exception) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.HFValidationError):
        return f"{name!r} is neither a folder here nor an id of the hub, such as owner/model."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"The hub's {name} has no revision {revision!r}; choose one of its branches, tags and commits."
    if isinstance(error, errors.GatedRepoError):
        return f"{name} asks for an agreement: accept it on the hub's page, then log in with 'hf auth login'."
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"The hub has no {name}, or it is private; check the name, or log in with 'hf auth login'."
    return _files_to_bring(name, revision, patterns, _reason(error))


def _reason(error: Exception) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    detail = str(error).strip().splitlines()
    return f"the hub cannot be reached ({detail[0].rstrip('.:') if detail else type(error).__name__})"


def _files_to_bring(name: str, revision: str | None, patterns: Sequence[str], reason: str) -> str:
    from huggingface_hub import constants

    pinned = f" --revision {revision}" if revision else ""
    wanted = " ".join(f"--include '{pattern}'" for pattern in patterns)
    cached = Path(constants.HF_HUB_CACHE, "models--" + name.replace("/", "--"))
    return (
        f"The files {_listed(patterns)} of {name} are not all in the cache, and {reason}: where there is a network, "
        f'run "hf download {name}{pinned} {wanted}" and bring what it downloads to {cached}{os.sep}, '
        "or bring the files in any folder and give that folder instead."
    )


def _listed(patterns: Sequence[str]) -> str:
    return ", ".join(patterns)
