"""From settings to sources: which data sets a run learns from, and how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lisa_ros.datasets.opening import GROUPS, REASON_SEG, open_dataset
from lisa_ros.datasets.records import DatasetError
from lisa_ros.simulation.frames import FrameError, FrameFolder
from lisa_ros.training.mixture import DEFAULT_RATES
from lisa_ros.training.settings import SettingsError
from lisa_ros.training.sources import DatasetSource, SampleSource
from lisa_ros.training.tabletop_source import TabletopSource

TABLETOP = "tabletop"
SEMANTIC = "semantic"
KIND_OF = {name: group for group, names in (GROUPS | {TABLETOP: (TABLETOP,)}).items() for name in names}
"""Name of a data set -> the group that it belongs to by itself."""


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """One source of samples.

    ``data`` is a data set as ``lisa_ros.datasets.opening.open_dataset`` names it ("ade20k", "reason_seg|train") and
    ``root`` the folder of all data sets; or ``data`` is "tabletop" and ``root`` a folder that `lisa simulate` made.
    ``group`` says whose rate it shares; left empty it is that of its kind. Raises ``SettingsError`` for unknown names.
    """

    data: str
    root: str
    group: str = ""

    def __post_init__(self) -> None:
        if not self.kind:
            raise SettingsError(f"sources, data is {self.data!r}; valid names are {', '.join(KIND_OF)}.")

    @property
    def kind(self) -> str:
        """The group that a data set of this name belongs to by itself."""
        name = self.data.split("|")[0].strip().casefold()
        return KIND_OF.get(REASON_SEG if name == "reasonseg" else name, "")


def open_sources(
    sources: Sequence[SourceSettings], rates: Mapping[str, float] = DEFAULT_RATES
) -> dict[str, tuple[float, list[SampleSource]]]:
    """Open all sources and return each group that has some with its rate, for ``Mixture``.

    Raises ``SettingsError`` without a source and for a group without a rate, ``DatasetError`` for files that are
    missing or damaged, each with one sentence.
    """
    if not sources:
        raise SettingsError("sources is empty; name at least one data set to learn from.")
    groups: dict[str, tuple[float, list[SampleSource]]] = {}
    for settings in sources:
        group = settings.group or settings.kind
        if not rates.get(group, 0.0) > 0:
            given = f"the rate {rates[group]}" if group in rates else "no rate"
            raise SettingsError(f"rates gives {group!r}, the group of {settings.data!r}, {given}; give it one above 0.")
        groups.setdefault(group, (rates[group], []))[1].append(_open(settings))
    return groups


def _open(settings: SourceSettings) -> SampleSource:
    if settings.kind != TABLETOP:
        dataset = open_dataset(settings.data, Path(settings.root))
        return DatasetSource(dataset, one_text_each=settings.kind == SEMANTIC)
    try:
        frames = FrameFolder(settings.root)
    except FrameError as error:
        raise DatasetError(str(error)) from error
    if not len(frames):
        raise DatasetError(f"{settings.root} holds no finished frames; make some with `lisa simulate`.")
    return TabletopSource(frames)
