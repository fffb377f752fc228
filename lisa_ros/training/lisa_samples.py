"""The samples of the recipe ``lisa``: a mixture of data sets, made into batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lisa_ros.training.lisa_batch import Collator
from lisa_ros.training.lisa_settings import LisaSettings
from lisa_ros.training.micro_batches import MicroBatch
from lisa_ros.training.mixture import Mixture
from lisa_ros.training.settings import SettingsError
from lisa_ros.training.source_settings import open_sources


class MixedSamples:
    """The sources of the settings in one row of samples; raises as ``open_sources`` does."""

    def __init__(self, settings: LisaSettings, collator: Collator) -> None:
        self.collator = collator
        try:
            self.mixture = Mixture(open_sources(settings.sources, settings.rates), settings.seed)
        except ValueError as error:
            raise SettingsError(str(error)) from error

    @property
    def names(self) -> dict[str, list[str]]:
        """The names of the data sets by group."""
        return {group: [source.name for source in sources] for group, (_, sources) in self.mixture.groups.items()}

    def micro_batch(self, positions: Sequence[int]) -> MicroBatch:
        """Return the samples at running positions as a batch, with what was skipped and what was too long."""
        drawn = [self.mixture[position] for position in positions]
        batch = self.collator(drawn)
        return MicroBatch(
            batch=batch,
            sources=tuple(sample.source for sample in drawn),
            skipped=tuple((skip.source, skip.cause) for sample in drawn for skip in sample.skipped),
            counts=Counter({"cut_conversations": batch.cut_conversations, "cut_masks": batch.cut_masks}),
        )
