from __future__ import annotations

import numpy as np
import pytest

from lisa_ros.answers import Verdict
from lisa_ros.node.demo.cases import Case
from lisa_ros.node.demo.outcomes import Outcome, Reply
from lisa_ros.node.demo.pictures import GAP, TILE_WIDTH, WIDTH, contact_sheet, draw, highlight

GREY = np.full((120, 160, 3), 100, np.uint8)


def outcome(mask: np.ndarray | None = None, text: str = "Where is it?", words: str = "Here.") -> Outcome:
    return Outcome(Case(0, text), Reply(Verdict.FOUND, words, mask, 12.0), None)


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((120, 160), bool)
    mask[30:90, 40:120] = True
    return mask


def test_highlight_tints_the_mask_and_darkens_the_rest(mask: np.ndarray) -> None:
    shown = highlight(GREY, mask)
    red, green, blue = shown[60, 80].astype(int)
    assert red > 130 and red > green > blue
    assert len(set(shown[5, 5].tolist())) == 1 and shown[5, 5, 0] < 100
    assert (GREY == 100).all(), "the frame itself stays as it is"


def test_the_mask_lies_where_it_belongs_in_the_scaled_frame(mask: np.ndarray) -> None:
    with_mask, without = (np.asarray(draw(GREY, outcome(given)), int) for given in (mask, None))
    scale = WIDTH / 160
    rows, columns = np.nonzero((with_mask - without)[: round(120 * scale), :, 0] > 20)
    expected = [30 * scale, 90 * scale, 40 * scale, 120 * scale]
    assert np.allclose([rows.min(), rows.max(), columns.min(), columns.max()], expected, atol=4)


@pytest.mark.parametrize("size", [(120, 160), (900, 100), (1, 1), (1200, 1600)])
def test_frames_of_every_shape_fit(size: tuple[int, int]) -> None:
    picture = draw(np.full((*size, 3), 200, np.uint8), outcome(np.ones(size, bool)))
    assert picture.width == WIDTH and picture.height < 1.5 * WIDTH


def test_long_captions_make_room_for_themselves() -> None:
    short = draw(GREY, outcome())
    assert draw(GREY, outcome(words="and so on " * 60)).height > short.height + 100
    assert draw(GREY, outcome(text="W" * 500)).height > short.height + 100
    assert draw(GREY, outcome(text="Wo ist die Tür — 門?")).width == WIDTH


def test_contact_sheet_holds_every_picture() -> None:
    pictures = [draw(np.full((120, 160, 3), shade, np.uint8), outcome()) for shade in (40, 80, 120, 160, 200)]
    sheet = np.asarray(contact_sheet(pictures), int)
    tile_height = round(pictures[0].height * TILE_WIDTH / WIDTH)
    assert sheet.shape == (2 * (tile_height + GAP) + GAP, 3 * (TILE_WIDTH + GAP) + GAP, 3)
    found = [
        sheet[GAP + row * (tile_height + GAP) + 50, GAP + column * (TILE_WIDTH + GAP) + 50, 0]
        for row, column in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    ]
    assert np.allclose(found, [40, 80, 120, 160, 200], atol=2)
