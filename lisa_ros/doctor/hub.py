"""The Hugging Face hub: switches, cache folder, and whether it can be reached."""

from __future__ import annotations

import os
import shutil
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from lisa_ros.doctor.findings import Check, Finding, Options, ok, one_line, size_words, warning

SECONDS_TO_ANSWER = 3.0
SWITCHES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE")


def check_cache(options: Options) -> Finding | None:
    """Say where downloads go, and whether they can."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    switches = ", ".join(f"{name}={os.environ[name]}" for name in SWITCHES if name in os.environ)
    nearest = next(path for path in (cache.absolute(), *cache.absolute().parents) if path.exists())
    words = f"{cache}, {size_words(shutil.disk_usage(nearest).free)} free{'; ' if switches else ''}{switches}"
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return ok(words, cache=str(cache))
    except OSError as error:
        remedy = "set HF_HOME to a folder of yours, or give models as local folders"
        return warning(f"{words}; it cannot be written to ({one_line(error)}).", remedy, cache=str(cache))


def check_access(options: Options) -> Finding | None:
    """Ask the hub for an answer of any kind, unless it is switched off."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return ok("offline by HF_HUB_OFFLINE: models are local folders or in the cache", reachable=False)
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=SECONDS_TO_ANSWER).close()
    except urllib.error.HTTPError:
        pass  # it answers
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        words = f"{constants.ENDPOINT} cannot be reached ({reason}); local folders and the cache work."
        remedy = "set HF_HUB_OFFLINE=1 to save the waiting, or HF_ENDPOINT or a proxy to reach it"
        return warning(words, remedy, reachable=False)
    return ok(f"{constants.ENDPOINT} answers", reachable=True)


CHECKS: dict[str, Check] = {"hub cache": check_cache, "hub": check_access}
