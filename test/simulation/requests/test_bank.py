import shutil
from collections import Counter

import pytest

from lisa_ros.simulation.kinds import KINDS
from lisa_ros.simulation.requests.bank import (
    ABSENT_FILE,
    BANK_FOLDER,
    MAX_REASON_WORDS,
    SORTS,
    BankError,
    load_bank,
    normalise,
    wordings_of,
)

BANK = load_bank()
each_kind = pytest.mark.parametrize("kind", BANK.kinds.values(), ids=BANK.kinds)


@pytest.fixture
def folder(tmp_path):
    copy = tmp_path / "bank"
    shutil.copytree(BANK_FOLDER, copy)
    return copy


def replace_in(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_bank_covers_the_kinds_of_the_simulation():
    assert set(BANK.kinds) == {kind.identifier for kind in KINDS}


@each_kind
def test_a_kind_has_enough_wordings_of_many_sorts(kind):
    training = [wording for meaning in kind.meanings for wording in meaning.training]
    held_out = [wording for meaning in kind.meanings for wording in meaning.held_out]
    assert len(training) >= 150
    assert len(held_out) >= 12
    sorts = {meaning.sort for meaning in kind.meanings}
    assert len(sorts) >= 6
    assert {"name", "negation"} <= sorts


@each_kind
def test_every_meaning_can_be_asked_in_every_split(kind):
    for meaning in kind.meanings:
        assert any(not wording.whole for wording in meaning.training)
        assert any(wording.whole for wording in meaning.training)
        assert meaning.held_out


@each_kind
def test_reasons_are_short_and_agree_with_their_opening(kind):
    for meaning in kind.meanings:
        assert meaning.sort in SORTS
        for reason in (meaning.because, meaning.because_plural):
            assert len(reason.split()) <= MAX_REASON_WORDS
        assert meaning.because.startswith("They" if kind.plural_word else "It")
        assert meaning.because_plural.startswith("The")


def test_no_held_out_wording_is_a_training_wording_in_disguise():
    meanings = [meaning for kind in BANK.kinds.values() for meaning in kind.meanings]
    training = {normalise(wording.text) for meaning in meanings for wording in meaning.training}
    held_out = {normalise(wording.text) for meaning in meanings for wording in meaning.held_out}
    assert not training & held_out
    absent = [{normalise(w.text) for w in group} for group in (BANK.absent_training, BANK.absent_held_out)]
    assert not absent[0] & absent[1]
    assert not (training | held_out) & (absent[0] | absent[1])


def test_no_wording_stands_in_two_kinds_that_do_not_say_so():
    places = {}
    for kind in BANK.kinds.values():
        for meaning in kind.meanings:
            for wording in wordings_of(meaning):
                places.setdefault(normalise(wording.text), []).append((kind.identifier, meaning.also))
    for shared in places.values():
        for name, also in shared:
            assert {other for other, _ in shared} - {name} <= also


def test_spoken_names_and_synonyms_belong_to_one_kind():
    words = Counter(word for kind in BANK.kinds.values() for word in {kind.name, kind.plural, *kind.synonyms})
    assert [word for word, times in words.items() if times > 1] == []


def test_things_outside_all_kinds_are_many():
    assert len(BANK.absent_training) >= 90
    assert len(BANK.absent_held_out) >= 30


def test_openings_agree_in_number():
    assert BANK.kinds["knife"].opening(several=False) == "It is the knife"
    assert BANK.kinds["knife"].opening(several=True) == "They are the knives"
    assert BANK.kinds["scissors"].opening(several=False) == "These are the scissors"


def test_the_bank_is_read_once():
    assert load_bank() is BANK


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("sort: affordance", "sort: magic", "sort is 'magic'; it must be one of affordance"),
        (
            "because: It has a sharp blade that cuts food.",
            "because: Sharp.",
            "the reason 'Sharp.' must be one sentence",
        ),
        ("  - scissors\n", "  - sword\n", "also names sword; it must name other kinds: apple"),
        ("synonyms:", "nicknames:", "unknown key 'nicknames'; valid are name"),
        ("- the kitchen knife", "- the spoon", "The wording 'the spoon' stands in knife and in spoon"),
        ("- the kitchen knife", "- The knife!", "the phrase 'The knife!' must be text without punctuation"),
        ("- the kitchen knife", "- THE  knife", "'THE  knife' stands in knife and in knife"),
        ("- Find a knife.", "- Find a knife", "the sentence 'Find a knife' must end with a full stop"),
        ("- several: the knives", "- many: the knives", "must be text, or text under one of one, plural, several"),
        ("name: knife", "name: [", "cannot be read as YAML"),
    ],
)
def test_a_broken_file_is_named_with_its_value(folder, old, new, complaint):
    replace_in(folder / "knife.yaml", old, new)
    with pytest.raises(BankError, match="knife") as caught:
        load_bank(folder)
    assert complaint in str(caught.value)


def test_a_missing_file_is_named(folder):
    (folder / ABSENT_FILE).unlink()
    with pytest.raises(BankError, match=ABSENT_FILE):
        load_bank(folder)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(BankError, match="one YAML file a kind"):
        load_bank(tmp_path)
