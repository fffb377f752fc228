"""What the paper minimises (section 3.3): text cross entropy, and BCE and dice of every mask at its image's size."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lisa_ros.engine.generation import positions_before_seg
from lisa_ros.model.configuration import ConfigurationError
from lisa_ros.model.modeling import ImageInputs, LisaModel
from lisa_ros.model.processing import IGNORE_INDEX
from lisa_ros.model.vision import MaskFeatures
from lisa_ros.training.lisa_batch import LisaBatch
from lisa_ros.training.losses import MASK_COUNT_EPSILON, dice_loss, mask_bce_loss, text_loss


@dataclass(frozen=True, slots=True)
class ObjectiveWeights:
    """Weights of the three losses; the defaults are the paper's."""

    ce: float = 1.0
    bce: float = 2.0
    dice: float = 0.5

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0.0 <= value < float("inf"):
                raise ConfigurationError(f"The weight of {name} is {value}; it must be 0 or more.")


@dataclass(slots=True)
class Prediction:
    """What a batch came to.

    ``states`` ``[T, D]`` are the final-normed hidden states that have to predict the tokens ``labels`` ``[T]``.
    ``seg_embeddings`` ``[n, C]`` and ``low_res_masks`` ``[n, 1, h, w]`` belong to the ``[SEG]`` of all conversations
    in their order, ``conversation_of_seg`` ``[n]`` says of which. ``mask_logits`` has fp32 ``[n_i, H, W]`` of each
    image.
    """

    states: Tensor
    labels: Tensor
    seg_embeddings: Tensor
    conversation_of_seg: Tensor
    low_res_masks: Tensor
    mask_logits: list[Tensor]


@dataclass(slots=True)
class _Reading:
    """Final-normed states and labels of all positions, ``[C, E, D]`` and ``[C, E]``, and where ``[SEG]`` is next."""

    states: Tensor
    labels: Tensor
    before_seg: list[Tensor]


class LisaObjective(nn.Module):
    """The weighted losses of a batch, as the reference's ``model_forward`` gives them in train mode.

    Parts that do not learn keep nothing for the backward pass. Beside frozen bf16 weights all compute in bf16,
    and the losses are fp32 whatever the weights are. Every parameter that ``make_trainable`` lets learn gets a
    gradient from every batch, zeros where it has no part in it, so that processes can train together.
    """

    def __init__(
        self, model: LisaModel, weights: ObjectiveWeights | None = None, *, gradient_checkpointing: bool = False
    ) -> None:
        super().__init__()
        self.model, self.weights = model, weights or ObjectiveWeights()
        if gradient_checkpointing:
            with warnings.catch_warnings():
                # Its new name is known to the latest transformers 5 only.
                warnings.simplefilter("ignore", FutureWarning)
                model.language_model.gradient_checkpointing_enable({"use_reentrant": False})

    def forward(self, batch: LisaBatch) -> dict[str, Tensor]:
        """Return the weighted losses ``ce``, ``bce`` and ``dice``, fp32 scalars; their sum is the loss.

        Raises ``ValueError`` when an image has not as many masks as ``[SEG]``.
        """
        with computing_type(self.model):
            return self.losses(self.predict(batch), batch)

    def predict(self, batch: LisaBatch) -> Prediction:
        """Run the network over whole conversations."""
        # A copy without the pyramid's kept features: a batch may be used again after a step.
        images = replace(batch.images, pyramid_features=None)
        reading = self._read(images, batch)
        counts = torch.tensor([len(positions) for positions in reading.before_seg], device=batch.image_of.device)
        conversation_of_seg = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
        image_of_seg = batch.image_of[conversation_of_seg]
        states = torch.cat([row[where] for row, where in zip(reading.states, reading.before_seg, strict=True)])
        seg_embeddings, low_res_masks = self._decode(images, states, image_of_seg, reading.states[0, :1])
        predicting = reading.labels[:, 1:] != IGNORE_INDEX
        return Prediction(
            states=reading.states[:, :-1][predicting],
            labels=reading.labels[:, 1:][predicting],
            seg_embeddings=seg_embeddings,
            conversation_of_seg=conversation_of_seg,
            low_res_masks=low_res_masks,
            mask_logits=[
                self.model.postprocess_masks(low_res_masks[image_of_seg == index], *sizes)
                for index, sizes in enumerate(zip(images.resized_sizes, images.original_sizes, strict=True))
            ],
        )

    def losses(self, prediction: Prediction, batch: LisaBatch) -> dict[str, Tensor]:
        """Return the weighted losses; those of masks are summed over the micro batch and divided by their number."""
        text = text_loss(self.model.language_model.lm_head(prediction.states), prediction.labels)
        bce = dice = prediction.low_res_masks[:0].float().sum()
        for index, (logits, masks) in enumerate(zip(prediction.mask_logits, batch.masks, strict=True)):
            if logits.shape != masks.shape:
                raise ValueError(
                    f"Image {index} of the batch has masks {list(masks.shape)}; its [SEG] give {list(logits.shape)}."
                )
            targets = masks.to(logits.dtype)
            bce = bce + mask_bce_loss(logits, targets) * len(masks)
            dice = dice + dice_loss(logits, targets) * len(masks)
        count = batch.num_masks + MASK_COUNT_EPSILON
        return {
            "ce": self.weights.ce * text,
            "bce": self.weights.bce * bce / count,
            "dice": self.weights.dice * dice / count,
        }

    def _read(self, images: ImageInputs, batch: LisaBatch) -> _Reading:
        """Run the language model over all conversations, each after its image and padded on the right."""
        model = self.model
        image_tokens = model.encode_image_for_language(images)
        rows, labels, before_seg = [], [], []
        for index, states in enumerate(self._request_states(batch)):
            attended = batch.attention_mask[index].bool()
            ids = batch.input_ids[index, attended]
            embeddings, spread_ids = model.embed(ids, image_tokens[batch.image_of[index]], states)
            rows.append(embeddings[0])
            labels.append(_spread(batch.labels[index, attended], ids, spread_ids))
            before_seg.append(positions_before_seg(model, spread_ids))
        embeddings = pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows], device=embeddings.device)
        attended = torch.arange(embeddings.shape[1], device=embeddings.device) < lengths[:, None]
        outputs = model.language_model.model(inputs_embeds=embeddings, attention_mask=attended.long(), use_cache=False)
        return _Reading(
            outputs.last_hidden_state,
            pad_sequence(labels, batch_first=True, padding_value=IGNORE_INDEX),
            before_seg,
        )

    def _request_states(self, batch: LisaBatch) -> list[Tensor | None]:
        """Return the request encoder's states ``[T + 1, D]`` of every conversation, where the network has one."""
        if batch.request is None or self.model.request_encoder is None:
            return [None] * len(batch.input_ids)
        states = self.model.request_encoder(batch.request.input_ids, batch.request.attention_mask)
        lengths = batch.request.attention_mask.sum(1).tolist()
        return [row[: length + 1] for row, length in zip(states, lengths, strict=True)]

    def _decode(
        self, images: ImageInputs, states: Tensor, image_of_seg: Tensor, stand_in: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Project and decode the states ``[n, D]`` that predict ``[SEG]``.

        Without any, the state ``stand_in`` ``[1, D]`` is decoded and dropped, so that the decoder gets its gradient.
        """
        count = len(states)
        used, owners = image_of_seg.unique(return_inverse=True)
        seg_embeddings = self.model.project_seg(states if count else stand_in)
        features = self._mask_features(images, used).of_images(owners if count else owners.new_zeros(1))
        low_res_masks, _ = self.model.decode_masks(features, seg_embeddings)
        return seg_embeddings[:count], low_res_masks[:count]

    def _mask_features(self, images: ImageInputs, used: Tensor) -> MaskFeatures:
        """Return the features of the images ``used``, or of one image if none is.

        SAM's encoder costs most of a step, so it looks only at images that have a mask. It is called once for every
        batch, because weights that are sharded over processes have to be called as often by each.
        """
        used = used if len(used) else used.new_zeros(1)
        if self.model.config.image_encoder is None:
            return self.model.encode_image_for_masks(images).of_images(used)
        return self.model.encode_image_for_masks(
            ImageInputs(
                images.pixel_values[used],
                images.mask_pixel_values[used],
                [images.resized_sizes[index] for index in used.tolist()],
                [images.original_sizes[index] for index in used.tolist()],
            )
        )


def _spread(labels: Tensor, ids: Tensor, spread_ids: Tensor) -> Tensor:
    """Return labels ``[L]`` of ids ``[L]`` at the places of the ids in the expanded sequence; nothing elsewhere."""
    spread = torch.full_like(spread_ids, IGNORE_INDEX)
    spread[spread_ids >= 0] = labels[ids >= 0]
    return spread


def computing_type(model: LisaModel) -> AbstractContextManager[object]:
    """Compute in bf16 where any weights have 16 bits or fewer, however many others are fp32 because they learn."""
    if all(parameter.dtype == torch.float32 for parameter in model.parameters()):
        return nullcontext()
    return torch.autocast(model.device.type, torch.bfloat16)
