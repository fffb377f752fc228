"""HTML as a tree, so that every text in it is escaped by the writer of the tree and none by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

Content = Element | str
Cell = Content | tuple[Content, ...]


def element(tag: str, *content: Content, **attributes: str) -> Element:
    """Return an element that holds texts and elements; ``_`` at the end of an attribute's name is left out."""
    made = Element(tag, {name.rstrip("_"): printable(value) for name, value in attributes.items()})
    for part in content:
        if isinstance(part, Element):
            made.append(part)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + printable(part)
        else:
            made.text = (made.text or "") + printable(part)
    return made


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Cell]], class_: str = "figures") -> Element:
    """Return a table that scrolls sideways on a narrow screen; the first cell of every row is its head."""
    made = element("table", element("caption", caption), class_=class_)
    made.append(element("thead", _row(head, "col")))
    made.append(element("tbody", *(_row(row, "row") for row in rows)))
    return element("div", made, class_="wide")


def _row(cells: Sequence[Cell], scope: str) -> Element:
    """Return one row; all its cells are heads where ``scope`` is "col", its first one where it is "row"."""
    made = element("tr")
    for number, cell in enumerate(cells):
        parts = cell if isinstance(cell, tuple) else (cell,)
        is_head = scope == "col" or number == 0
        made.append(element("th", *parts, scope=scope) if is_head else element("td", *parts))
    return made


def written(root: Element) -> str:
    """Return a whole document as text."""
    return "<!DOCTYPE html>\n" + ElementTree.tostring(root, encoding="unicode", method="html") + "\n"


def printable(text: str) -> str:
    """Return text without characters that HTML does not allow."""
    return CONTROL_CHARACTERS.sub("\N{REPLACEMENT CHARACTER}", text)
