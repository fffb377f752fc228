"""ReasonSeg and the refCOCO family as cases, with the requests of the paper's evaluation.

The id of a ReasonSeg case is the name of its image. The id of a refCOCO case is ``IMAGE-R-S``: the name of the image,
the number of the referent among those of the image, and the number of the sentence among those of the referent, both in
the order of the annotations and from 0.
"""

from __future__ import annotations

from collections.abc import Iterator

from lisa_ros.datasets.records import AnnotatedImage, ImageDataset, ItemError, Referent
from lisa_ros.evaluation.cases import Case, Skip
from lisa_ros.evaluation.prompts import mask_request


def reasonseg_cases(dataset: ImageDataset, *, plain: bool = False) -> Iterator[Case | Skip]:
    """Yield one case an image: its first text; sentences are the group "long", phrases "short".

    ``plain`` asks with the text alone instead of the paper's request for a mask.
    """
    for image in _images(dataset):
        if isinstance(image, Skip):
            yield image
        elif len(image.referents) != 1:
            yield Skip(image.name, f"{image.name} has {len(image.referents)} targets instead of 1.")
        else:
            referent = image.referents[0]
            group = "long" if referent.is_sentence else "short"
            yield _case(image.name, image, referent, referent.texts[0], group=group, plain=plain)


def refcoco_cases(dataset: ImageDataset, *, plain: bool = False) -> Iterator[Case | Skip]:
    """Yield one case for every sentence of every referent, in lower case as the reference asks."""
    for image in _images(dataset):
        if isinstance(image, Skip):
            yield image
            continue
        for number, referent in enumerate(image.referents):
            for sentence, text in enumerate(referent.texts):
                yield _case(f"{image.name}-{number}-{sentence}", image, referent, text.lower(), group="", plain=plain)


def _images(dataset: ImageDataset) -> Iterator[AnnotatedImage | Skip]:
    for index in range(len(dataset)):
        try:
            yield dataset[index]
        except ItemError as error:
            yield Skip(f"{dataset.name}[{index}]", str(error))


def _case(id: str, image: AnnotatedImage, referent: Referent, text: str, *, group: str, plain: bool) -> Case:
    text = text.strip()
    request = text if plain else mask_request(text, is_sentence=referent.is_sentence)
    return Case(id.replace("/", "_"), image.image_path, text, request, referent.mask, group)
