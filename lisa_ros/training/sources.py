"""Where training samples come from: anything that draws one about the item with a number."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from lisa_ros.datasets.records import ImageDataset
from lisa_ros.training.conversations import DrawConfig, draw_sample
from lisa_ros.training.samples import TrainingSample

DEFAULT_DRAW = DrawConfig()


class SampleSource(Protocol):
    """A data set as something to learn from."""

    name: str

    def __len__(self) -> int:
        """Return the number of items."""
        ...

    def sample(self, index: int, rng: np.random.Generator) -> TrainingSample:
        """Draw a sample about one item; all chance in it comes from ``rng``.

        Raises ``ItemError`` for an item that cannot be used.
        """
        ...


class DatasetSource:
    """The images of a data set; ``one_text_each`` as in ``draw_sample``."""

    def __init__(self, dataset: ImageDataset, *, one_text_each: bool, config: DrawConfig = DEFAULT_DRAW) -> None:
        self.dataset, self.one_text_each, self.config = dataset, one_text_each, config
        self.name = dataset.name

    def __len__(self) -> int:
        return len(self.dataset)

    def sample(self, index: int, rng: np.random.Generator) -> TrainingSample:
        """Draw conversations about one image; raises ``ItemError``."""
        image = self.dataset[index]
        source = f"{self.name}, {image.name}"
        return draw_sample(image, rng, source, self.config, one_text_each=self.one_text_each)
