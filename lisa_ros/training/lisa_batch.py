"""From training samples to the tensors of one micro batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lisa_ros.model.modeling import ImageInputs, RequestInputs
from lisa_ros.model.processing import IGNORE_INDEX, ConversationInputs, LisaProcessor
from lisa_ros.training.samples import TrainingSample


@dataclass(slots=True)
class LisaBatch:
    """``B`` images and ``C`` conversations about them.

    ``input_ids`` and ``labels`` are ``[C, L]``, padded on the right where the bool ``attention_mask`` ``[C, L]`` is
    false; the placeholders still stand in ``input_ids``. ``image_of`` ``[C]`` is the image of each conversation.
    ``masks`` has one ``[n, H, W]`` an image (values in [0, 1], any dtype), a mask for every ``[SEG]`` of its
    conversations in their order. ``request`` holds the request encoder's ids ``[C, T]`` and their mask, for networks
    that have one. ``cut_conversations`` and ``cut_masks`` count what was too long.
    """

    images: ImageInputs
    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    image_of: Tensor
    masks: list[Tensor]
    request: RequestInputs | None = None
    cut_conversations: int = 0
    cut_masks: int = 0

    @property
    def num_masks(self) -> int:
        """How many masks are learned."""
        return sum(len(masks) for masks in self.masks)

    @property
    def num_label_tokens(self) -> int:
        """How many tokens the text loss counts."""
        return int((self.labels[:, 1:] != IGNORE_INDEX).sum())

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> LisaBatch:
        """Return the batch on another device; ``dtype`` is that of the pixels, unchanged for ``None``."""
        request = self.request
        if request is not None:
            request = RequestInputs(request.input_ids.to(device), request.attention_mask.to(device))
        return replace(
            self,
            images=self.images.to(torch.device(device), dtype or self.images.pixel_values.dtype),
            input_ids=self.input_ids.to(device),
            attention_mask=self.attention_mask.to(device),
            labels=self.labels.to(device),
            image_of=self.image_of.to(device),
            masks=[masks.to(device) for masks in self.masks],
            request=request,
        )


class Collator:
    """Makes a ``LisaBatch`` of training samples.

    ``max_length`` is the most positions that a conversation takes in the language model, visual tokens included (512
    in the paper's recipe); ``None`` cuts nothing. Raises ``ValueError`` that names the sample when its masks are not
    as many as its ``[SEG]`` or not of its image's size, or when ``max_length`` leaves no room for the image.
    """

    def __init__(self, processor: LisaProcessor, max_length: int | None = None) -> None:
        self.processor, self.max_length = processor, max_length

    def __call__(self, samples: Sequence[TrainingSample]) -> LisaBatch:
        """Prepare the images and conversations of one micro batch."""
        rows: list[ConversationInputs] = []
        masks: list[Tensor] = []
        cut_conversations = 0
        for sample in samples:
            whole = [self.processor.text.conversation(turns) for turns in sample.conversations]
            kept = [self._cut(conversation, sample) for conversation in whole]
            cut_conversations += sum(len(k.input_ids) < len(w.input_ids) for k, w in zip(kept, whole, strict=True))
            masks.append(self._masks(sample, whole, kept))
            rows += kept
        images_of = [index for index, sample in enumerate(samples) for _ in sample.conversations]
        padding = self.processor.config.tokens.pad
        return LisaBatch(
            images=joined_images([self.processor.image(sample.rgb) for sample in samples]),
            input_ids=pad_sequence([row.input_ids for row in rows], batch_first=True, padding_value=padding),
            attention_mask=_true_where([len(row.input_ids) for row in rows]),
            labels=pad_sequence([row.labels for row in rows], batch_first=True, padding_value=IGNORE_INDEX),
            image_of=torch.tensor(images_of, dtype=torch.long),
            masks=masks,
            request=_joined_requests(rows),
            cut_conversations=cut_conversations,
            cut_masks=sum(len(sample.masks) for sample in samples) - sum(len(kept) for kept in masks),
        )

    def _cut(self, conversation: ConversationInputs, sample: TrainingSample) -> ConversationInputs:
        """Leave out what lies beyond ``max_length`` at the end of a conversation."""
        if self.max_length is None:
            return conversation
        # Each placeholder gives way to its states; a request encoder gives one more state than it reads tokens.
        added = self.processor.config.vision.num_image_tokens - 1
        added += 0 if conversation.request is None else conversation.request.input_ids.shape[1]
        kept = max(self.max_length - added, 0)
        if (conversation.input_ids[kept:] < 0).any():  # A placeholder is cut off.
            raise ValueError(
                f"max_length is {self.max_length}; it leaves no room for the image in {sample.source}, "
                f"whose conversation takes {added + len(conversation.input_ids)} positions."
            )
        return replace(conversation, input_ids=conversation.input_ids[:kept], labels=conversation.labels[:kept])

    def _masks(self, sample: TrainingSample, whole: list[ConversationInputs], kept: list[ConversationInputs]) -> Tensor:
        """Return the masks whose ``[SEG]`` are kept; those that a cut took away are the last of their conversation."""
        if sample.masks.shape[1:] != sample.rgb.shape[:2]:
            raise ValueError(
                f"{sample.source} has masks {list(sample.masks.shape)} for an image of "
                f"{list(sample.rgb.shape[:2])}; they must be of one size."
            )
        counts = [self._count_seg(conversation) for conversation in whole]
        if sum(counts) != len(sample.masks):
            raise ValueError(f"{sample.source} has {len(sample.masks)} masks for {sum(counts)} [SEG].")
        flags = [
            number < self._count_seg(after)
            for after, count in zip(kept, counts, strict=True)
            for number in range(count)
        ]
        return torch.from_numpy(sample.masks)[torch.tensor(flags, dtype=torch.bool)]

    def _count_seg(self, conversation: ConversationInputs) -> int:
        return int((conversation.input_ids == self.processor.config.tokens.seg).sum())


def joined_images(images: Sequence[ImageInputs]) -> ImageInputs:
    """Return prepared images as one batch."""
    pixel_values = torch.cat([image.pixel_values for image in images])
    is_shared = images[0].mask_pixel_values is images[0].pixel_values
    return ImageInputs(
        pixel_values,
        pixel_values if is_shared else torch.cat([image.mask_pixel_values for image in images]),
        [size for image in images for size in image.resized_sizes],
        [size for image in images for size in image.original_sizes],
    )


def _joined_requests(rows: list[ConversationInputs]) -> RequestInputs | None:
    requests = [row.request for row in rows if row.request is not None]
    if not requests:
        return None
    return RequestInputs(
        pad_sequence([request.input_ids[0] for request in requests], batch_first=True),
        pad_sequence([request.attention_mask[0] for request in requests], batch_first=True),
    )


def _true_where(lengths: list[int]) -> Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
