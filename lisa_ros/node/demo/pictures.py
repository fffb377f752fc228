"""Answers as pictures: the frame with the mask in it, and below it the request, the words and the score."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lisa_ros.answers import Verdict
from lisa_ros.node.demo.outcomes import Outcome

WIDTH, TALLEST = 960, 960
"""Pixels of a picture, and of the frame in it; a frame that is taller at this width gets bars at its sides."""
MARGIN = 28
JPEG_QUALITY = 90
TILE_WIDTH, COLUMNS, GAP = 640, 3, 12

BACKGROUND, WHITE, GREY = (19, 22, 28), (244, 246, 248), (168, 176, 188)
GOOD, BAD = (96, 206, 140), (242, 110, 110)
MASK_COLOUR = (255, 96, 32)
MASK_SHARE, SURROUNDINGS = 0.45, 0.78
"""How much of the mask colour covers the mask, and how bright everything else stays."""
BADGES = {
    Verdict.FOUND: ("found", (38, 142, 84)),
    Verdict.NOT_PRESENT: ("not present", (176, 118, 16)),
    Verdict.WORDS_ONLY: ("words only", (82, 94, 112)),
    Verdict.FAILED: ("failed", (186, 44, 52)),
}


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw(rgb: NDArray[np.uint8], outcome: Outcome) -> Image.Image:
    """Return the picture of one answer about a frame, uint8 RGB ``[H, W, 3]``."""
    shown = _fit(rgb, outcome.reply.mask)
    caption = _caption(outcome)
    picture = Image.new("RGB", (WIDTH, shown.height + caption.height), BACKGROUND)
    picture.paste(shown, ((WIDTH - shown.width) // 2, 0))
    picture.paste(caption, (0, shown.height))
    return picture


def contact_sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return all pictures at a glance, three in a row."""
    tiles = [picture.resize(_scaled(picture, TILE_WIDTH), Image.Resampling.LANCZOS) for picture in pictures]
    columns = min(COLUMNS, len(tiles))
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    heights = [max(tile.height for tile in row) for row in rows]
    size = (columns * (TILE_WIDTH + GAP) + GAP, sum(heights) + GAP * (len(rows) + 1))
    sheet = Image.new("RGB", size, WHITE)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            left = GAP + column * (TILE_WIDTH + GAP)
            sheet.paste(BACKGROUND, (left, top, left + TILE_WIDTH, top + height))
            sheet.paste(tile, (left, top))
        top += height + GAP
    return sheet


def save(picture: Image.Image, path: Path) -> None:
    """Write a JPEG file."""
    picture.save(path, quality=JPEG_QUALITY)


def highlight(rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return a copy with the mask tinted and outlined and everything else a little darker; sizes must agree."""
    share = mask[..., None].astype(np.float32)
    tinted = (1.0 - MASK_SHARE) * rgb + MASK_SHARE * np.array(MASK_COLOUR, np.float32)
    result = np.ascontiguousarray(np.rint(share * tinted + (1.0 - share) * SURROUNDINGS * rgb).astype(np.uint8))
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(result, outlines, -1, WHITE, 5, cv2.LINE_AA)
    cv2.drawContours(result, outlines, -1, MASK_COLOUR, 2, cv2.LINE_AA)
    return result


def _fit(rgb: NDArray[np.uint8], mask: NDArray[np.bool_] | None) -> Image.Image:
    """Return the frame at the size at which it is shown, with the mask if there is one."""
    scale = min(WIDTH / rgb.shape[1], TALLEST / rgb.shape[0])
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    pixels = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS))
    if mask is not None and mask.any():
        smooth = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        pixels = highlight(pixels, smooth > 0.5)
    return Image.fromarray(pixels)


def _caption(outcome: Outcome) -> Image.Image:
    reply = outcome.reply
    said = reply.error or reply.words
    request, words = _font(31, outcome.case.text), _font(25, said)
    lines = [(line, request, WHITE) for line in _wrap(f"\u201c{outcome.case.text}\u201d", request)]
    lines += [(line, words, GREY) for line in _wrap(said, words)]
    height = sum(_line_height(font) for _, font, _ in lines)
    badge = _badge(outcome)
    caption = Image.new("RGB", (WIDTH, height + badge.height + 5 * MARGIN // 2), BACKGROUND)
    painter = ImageDraw.Draw(caption)
    top = 3 * MARGIN // 4
    for line, font, colour in lines:
        painter.text((MARGIN, top), line, colour, font)
        top += _line_height(font)
    caption.paste(badge, (MARGIN, top + 3 * MARGIN // 4))
    return caption


def _badge(outcome: Outcome) -> Image.Image:
    """Return one line: the verdict on its colour, then the score and the time."""
    font = _font(23)
    name, colour = BADGES[outcome.reply.verdict]
    parts = [(f"{outcome.reply.milliseconds:.0f} ms", GREY)]
    if outcome.iou is not None:
        parts.insert(0, (f"IoU {outcome.iou:.2f}", GOOD if outcome.right else BAD))
    badge = Image.new("RGB", (WIDTH - 2 * MARGIN, 40), BACKGROUND)
    painter = ImageDraw.Draw(badge)
    left = painter.textlength(name, font) + 32
    painter.rounded_rectangle((0, 0, left, badge.height - 1), 10, colour)
    painter.text((16, badge.height // 2), name, WHITE, font, anchor="lm")
    for text, ink in parts:
        painter.text((left + 24, badge.height // 2), text, ink, font, anchor="lm")
        left += 24 + painter.textlength(text, font)
    return badge


def _font(size: int, text: str = "") -> Font:
    """Return the font that comes with PIL; for other letters than English ones DejaVu Sans, if it is installed."""
    if not text.isascii():
        with suppress(OSError):
            return ImageFont.truetype("DejaVuSans.ttf", size)
    return ImageFont.load_default(size)


def _wrap(text: str, font: Font) -> list[str]:
    """Return lines that fit between the margins; a word that is too long for a line is broken."""
    lines = [""]
    for word in text.split():
        while word:
            joined = f"{lines[-1]} {word}".strip()
            if font.getlength(joined) <= WIDTH - 2 * MARGIN:
                lines[-1], word = joined, ""
            elif lines[-1]:
                lines.append("")
            else:
                fitting = next(n for n in range(len(word), 0, -1) if font.getlength(word[:n]) <= WIDTH - 2 * MARGIN)
                lines[-1], word = word[:fitting], word[fitting:]
    return [line for line in lines if line]


def _line_height(font: Font) -> int:
    return round(1.35 * font.getbbox("Ag")[3])


def _scaled(picture: Image.Image, width: int) -> tuple[int, int]:
    return (width, round(picture.height * width / picture.width))
