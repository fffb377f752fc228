from collections import Counter

import numpy as np
import pytest

from lisa_ros.simulation.requests.bank import load_bank, normalise
from lisa_ros.simulation.requests.sampling import (
    OUT_OF_DOMAIN_ANSWER,
    RequestSplit,
    RequestType,
    Shares,
    all_wordings,
    sample_requests,
)

BANK = load_bank()
SCENE = {
    "knife": [3],
    "scissors": [4],
    "cup": [5, 6],
    "drinking_glass": [7],
    "plate": [8],
    "trash_can": [9],
    "keys": [1],
}
EVERY_SPLIT = pytest.mark.parametrize("split", RequestSplit)


def draw(scene, split=RequestSplit.TRAIN, count=300, seed=0, **options):
    return sample_requests(scene, np.random.default_rng(seed), count, split, **options)


def meaning_of(request):
    """The meaning whose reason the answer gives."""
    reason = request.answer.split("[SEG]. ")[1]
    return [m for m in BANK.kinds[request.kind].meanings if reason in (m.because, m.because_plural)]


@EVERY_SPLIT
def test_equal_seeds_give_equal_requests(split):
    assert draw(SCENE, split, seed=5) == draw(dict(reversed(SCENE.items())), split, seed=5)
    assert draw(SCENE, split, seed=5) != draw(SCENE, split, seed=6)


@EVERY_SPLIT
def test_no_request_for_a_present_kind_fits_another_kind_in_view(split):
    for request in draw(SCENE, split, shares=Shares(0, 0)):
        assert request.request_type is RequestType.PRESENT
        assert all(not meaning.also & set(SCENE) for meaning in meaning_of(request))


def test_shared_meanings_come_back_when_the_rival_is_away():
    assert any(m.also for request in draw({"knife": [1]}, shares=Shares(0, 0)) for m in meaning_of(request))


@EVERY_SPLIT
def test_nothing_in_view_satisfies_an_absent_request(split):
    texts = {}
    for kind in BANK.kinds.values():
        for meaning in kind.meanings:
            for wording in meaning.training + meaning.held_out:
                texts[normalise(wording.text)] = {kind.identifier} | meaning.also
    for request in draw(SCENE, split, shares=Shares(1, 0)):
        assert request.request_type is RequestType.ABSENT
        assert request.kind not in SCENE
        assert request.target_ids == ()
        assert request.answer == f"I see no {BANK.kinds[request.kind].name} here [REJ]."
        whole = texts.get(normalise(request.text))
        assert whole is None or not whole & set(SCENE)


def test_all_instances_of_a_kind_are_the_target():
    answers = {r.kind: r for r in draw(SCENE, shares=Shares(0, 0))}
    assert answers["cup"].target_ids == (5, 6)
    assert answers["cup"].answer.startswith("They are the cups [SEG]. The")
    assert answers["knife"].answer.startswith("It is the knife [SEG]. It")
    assert answers["scissors"].answer.startswith("These are the scissors [SEG]. The")
    assert answers["cup"].label == "cup"


def test_plural_phrases_ask_only_for_several():
    one, two = ({r.text for r in draw({"cup": ids}, count=800, shares=Shares(0, 0))} for ids in ([1], [1, 2]))
    assert not any("the cups" in text or "the mugs" in text for text in one)
    assert any("the cups" in text for text in two)


def test_kinds_take_turns_whatever_their_number_of_instances():
    scene = {"knife": [1], "cup": list(range(2, 40)), "plate": [50]}
    counts = Counter(request.kind for request in draw(scene, count=99, shares=Shares(0, 0)))
    assert set(counts.values()) == {33}


def test_default_shares():
    counts = Counter(request.request_type for request in draw(SCENE, count=4000))
    assert counts[RequestType.PRESENT] / 4000 == pytest.approx(0.80, abs=0.03)
    assert counts[RequestType.ABSENT] / 4000 == pytest.approx(0.13, abs=0.03)
    assert counts[RequestType.OUT_OF_DOMAIN] / 4000 == pytest.approx(0.07, abs=0.02)


def test_out_of_domain_requests_have_no_target():
    for request in draw(SCENE, shares=Shares(0, 1)):
        assert (request.answer, request.kind, request.label, request.target_ids) == (OUT_OF_DOMAIN_ANSWER, "", "", ())


def test_hardly_visible_kinds_are_neither_asked_for_nor_called_absent():
    requests = draw({"cup": [1], "knife": [2]}, count=1500, hardly_visible=["knife", "drinking_glass"])
    assert not {"knife", "drinking_glass"} & {request.kind for request in requests}
    for request in requests:
        if request.request_type is RequestType.PRESENT:
            assert all("drinking_glass" not in meaning.also for meaning in meaning_of(request))


def test_an_empty_view_gives_no_present_request():
    assert {r.request_type for r in draw({"cup": []})} == {RequestType.ABSENT, RequestType.OUT_OF_DOMAIN}


def test_a_view_of_everything_gives_no_absent_request():
    scene = {kind: [number] for number, kind in enumerate(BANK.kinds, start=1)}
    assert {r.request_type for r in draw(scene)} == {RequestType.PRESENT, RequestType.OUT_OF_DOMAIN}


def test_splits_share_no_text():
    texts = {split: {r.text for r in draw(SCENE, split, count=3000)} for split in RequestSplit}
    for split in RequestSplit:
        for other in RequestSplit:
            assert split is other or not texts[split] & texts[other]


def test_new_meanings_use_held_out_wordings_only():
    held_out = [w.text.lower() for kind in BANK.kinds.values() for m in kind.meanings for w in m.held_out]
    for request in draw(SCENE, RequestSplit.NEW_MEANINGS, shares=Shares(0.5, 0)):
        assert any(text in request.text.lower() for text in held_out)


def test_typing_noise_is_off_unless_asked_for():
    clean = {r.text for r in draw(SCENE)}
    noisy = {r.text for r in draw(SCENE, typing_noise=1.0)}
    assert len(noisy - clean) > 200


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="no kind 'sword'; the bank has apple"):
        draw({"sword": [1]})


def test_impossible_shares_are_refused():
    with pytest.raises(ValueError, match="at most 1"):
        Shares(absent=0.9, out_of_domain=0.2)


def test_all_wordings_cover_every_kind_in_every_split():
    found = {split: list(all_wordings(split)) for split in RequestSplit}
    for wordings in found.values():
        assert {kind for _, kind, _ in wordings} == set(BANK.kinds)
    assert not {text for text, _, _ in found[RequestSplit.TRAIN]} & {t for t, _, _ in found[RequestSplit.NEW_MEANINGS]}
