"""One answer while it is generated: the words, the masks at ``[SEG]``, and the verdict."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator

import torch
from torch import Tensor
from transformers import DynamicCache

from lisa_ros.answers import Answer, Event, Finished, MaskReady, Mode, Request, SegmentedObject, TextDelta, Verdict
from lisa_ros.engine.decoding import NotFiniteError, Step, extend, greedy_steps, predict
from lisa_ros.engine.masks import decode_object
from lisa_ros.engine.view import LisaView, milliseconds_since
from lisa_ros.model.processing import PromptError, PromptInputs, TextProcessor


class AnswerInTheMaking:
    """Generates the answer to one request about one view.

    The eyes overrule the words: where the first mask of an answer is empty or scores too little, and the checkpoint
    knows how to say that something is not there, the answer is written again as a refusal. Such a checkpoint's words
    are held back until its first mask or refusal.
    """

    def __init__(self, text: TextProcessor, view: LisaView, request: Request) -> None:
        self.model, self.text, self.view, self.request = view.model, text, view, request
        self.token_ids: list[int] = []
        self.words = ""
        self.objects: list[SegmentedObject] = []
        self.refused = False
        self.error = ""
        self.started = time.perf_counter()
        self.timings: dict[str, float] = {}

    def events(self) -> Iterator[Event]:
        """Yield the events of the answer, ``Finished`` last; an answer that cannot be given is ``FAILED``."""
        looked = set(self.view.timings)
        try:
            yield from self._answer(self.text.prompt(self.request.text, self.request.history))
        except (PromptError, NotFiniteError) as error:
            self.objects.clear()
            self.error = str(error)
        looked_now = {name: value for name, value in self.view.timings.items() if name not in looked}
        self.timings = looked_now | self.timings | {"total": milliseconds_since(self.started)}
        yield Finished(self._finished())

    def _answer(self, prompt: PromptInputs) -> Iterator[Event]:
        cache = self.view.prefix().cache
        hidden_state = self._read_request(prompt, cache)
        if self.request.mode is Mode.MASK_FIRST:
            yield from self._force_mask(hidden_state)
        else:
            yield from self._generate(hidden_state, cache)

    @torch.inference_mode()
    def _read_request(self, prompt: PromptInputs, cache: DynamicCache) -> Tensor:
        """Run the request after the image; returns the state that predicts the first token of the answer."""
        started = time.perf_counter()
        device, states = self.model.device, None
        if prompt.request is not None and self.model.request_encoder is not None:
            request_ids, mask = prompt.request.input_ids.to(device), prompt.request.attention_mask.to(device)
            states = self.model.request_encoder(request_ids, mask)[0]
        embeddings, _ = self.model.embed(prompt.request_ids.to(device), request_states=states)
        self._require_room(cache.get_seq_length() + embeddings.shape[1])
        hidden_state = extend(self.model, embeddings, cache)[-1]
        self.timings["read_request"] = milliseconds_since(started)
        return hidden_state

    def _require_room(self, positions: int) -> None:
        limit = self.model.config.language.max_position_embeddings
        if positions + self.request.max_new_tokens > limit:
            raise PromptError(
                f"The conversation takes {positions} positions and its answer up to {self.request.max_new_tokens} "
                f"more, but this checkpoint was made for {limit}; begin a new one or allow fewer new tokens."
            )

    def _force_mask(self, hidden_state: Tensor) -> Iterator[Event]:
        """Teacher-force ``[SEG]`` as the first token, as the paper's evaluation does."""
        probabilities = torch.softmax(predict(self.model, hidden_state).logits.float(), dim=-1)
        found = self._decode(hidden_state, float(probabilities[self.model.config.tokens.seg]))
        self.objects.append(found)
        yield MaskReady(found)

    def _generate(self, hidden_state: Tensor, cache: DynamicCache) -> Iterator[Event]:
        started, read = time.perf_counter(), cache.get_seq_length()
        overruled = yield from self._write(greedy_steps(self.model, hidden_state, cache, self.request.max_new_tokens))
        if overruled:
            cache.crop(read - cache.get_seq_length())
            yield from self._refuse(cache)
        self.timings["words"] = milliseconds_since(started) - self.timings.get("masks", 0.0)

    def _write(self, steps: Iterator[Step]) -> Generator[Event, None, bool]:
        """Write tokens until the end; returns whether the answer has to be written again as a refusal."""
        tokens = self.model.config.tokens
        for step in steps:
            if step.token == tokens.seg:
                found = self._decode(step.hidden_state, step.probability)
                if not self._is_accepted(found) and not self.objects and self.text.refusal_ids:
                    return True
                self.objects.append(found)
                yield MaskReady(found)
            self.token_ids.append(step.token)
            if not self.text.refusal_ids or {tokens.seg, tokens.rejection} & set(self.token_ids):
                yield from self._new_words()
        yield from self._new_words()
        return False

    def _is_accepted(self, found: SegmentedObject) -> bool:
        return bool(found.area) and found.score >= self.model.config.acceptance.least_score

    def _refuse(self, cache: DynamicCache) -> Iterator[Event]:
        """Begin the answer with the words of a refusal and let the model go on."""
        self.refused, self.token_ids = True, list(self.text.refusal_ids)
        embeddings, _ = self.model.embed(torch.tensor(self.token_ids, device=self.model.device))
        hidden_state = extend(self.model, embeddings, cache)[-1]
        yield from self._write(greedy_steps(self.model, hidden_state, cache, self.request.max_new_tokens))

    def _new_words(self) -> Iterator[TextDelta]:
        words = self.text.words(self.token_ids)
        if len(words) > len(self.words) and words.startswith(self.words):
            yield TextDelta(words[len(self.words) :])
        self.words = words

    def _decode(self, hidden_state: Tensor, probability: float) -> SegmentedObject:
        started = time.perf_counter()
        found = decode_object(self.view, hidden_state, self.text.label(self.token_ids), probability)
        self.timings["masks"] = self.timings.get("masks", 0.0) + milliseconds_since(started)
        self.timings.setdefault("to_first_mask", milliseconds_since(self.started))
        return found

    def _finished(self) -> Answer:
        return Answer(
            verdict=self._verdict(),
            words=self.words,
            objects=tuple(self.objects),
            timings=self.timings,
            model=self.model.config.name,
            error=self.error,
            transcript=self.text.transcript(self.token_ids),
        )

    def _verdict(self) -> Verdict:
        """``[SEG]`` with pixels is found; ``[REJ]`` or only empty masks is not present; neither is words only."""
        if self.error:
            return Verdict.FAILED
        if any(found.area for found in self.objects):
            return Verdict.FOUND
        if self.objects or self.refused or self.model.config.tokens.rejection in self.token_ids:
            return Verdict.NOT_PRESENT
        return Verdict.WORDS_ONLY
