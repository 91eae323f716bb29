"""A picture that was drawn as an SVG file, made ready to stand in a page beside others.

What the page says in letters of its own is taken out of the picture: heading, conditions and foot, which
experiments.charts puts there. So they can be read on a phone, searched and copied. matplotlib draws letters as shapes,
and leaves what they say in a comment beside them, which is what they are found by.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from html import unescape

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_DROPPED = {f"{{{SVG}}}{name}" for name in ("metadata", "style", "script", "title")}
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_PLACED = re.compile(r"translate\(\S+ (\S+)\) scale\((\S+) ")
_GAP = 6.0  # points that are left around what is cut off


@dataclass(frozen=True)
class Drawing:
    """An `<svg>` element for HTML, and the conditions that stood above it; empty if it had none."""

    markup: str
    conditions: str


def drawing(source: str, prefix: str, title: str, note: str = "") -> Drawing:
    """The picture in `source`, with ids that begin with `prefix`, so that pictures do not mix theirs up.

    `title` and `note` are what it says at its head and foot, and `title` what it is called where it cannot be seen. Its
    size is left to the page, its coordinates have two digits after the point. ValueError if `source` is no SVG.
    """
    ET.register_namespace("", SVG)
    try:
        root = ET.fromstring(source, ET.XMLParser(target=ET.TreeBuilder(insert_comments=True)))
    except ET.ParseError as error:
        raise ValueError(f"no SVG: {error}") from None
    if root.tag != f"{{{SVG}}}svg" or "viewBox" not in root.attrib:
        raise ValueError("no SVG with a viewBox")
    conditions = _without_words(root, _plain(title), _plain(note))
    _clean(root, prefix)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", title)
    return Drawing(re.sub(r">\s+<", "><", ET.tostring(root, encoding="unicode")), conditions)


def _without_words(root: ET.Element, title: str, note: str) -> str:
    """Take heading, conditions and foot out of `root` and make it lower by as much; returns the conditions.

    The conditions come after the heading, and then the lines of the foot; if there is no such heading, all stays.
    """
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    upper, lower, conditions = top, top + height, ""
    for parent in list(root.iter()):
        words = [(child, text) for child in parent if (text := _says(child))]
        heading = next((index for index, (_, text) in enumerate(words) if text == title), None)
        if heading is None:
            continue
        head = words[heading : heading + 2]
        foot = [(child, text) for child, text in words[heading + 2 :] if text in note]
        conditions = " ".join(text for _, text in head[1:])
        upper = max([upper, *(below for child, _ in head for _, below in _lines(child))])
        lower = min([lower, *(above - _GAP for child, _ in foot for above, _ in _lines(child))])
        for child, _ in head + foot:
            parent.remove(child)
        break
    root.set("viewBox", f"{left:g} {upper:.2f} {width:g} {lower - upper:.2f}")
    return conditions


def _says(element: ET.Element) -> str:
    """The words of a text that was drawn as shapes; empty if it is none."""
    return _plain(" ".join(unescape(each.text or "") for each in element if _is_comment(each)))


def _plain(text: str) -> str:
    return " ".join(text.split())


def _lines(element: ET.Element) -> list[tuple[float, float]]:
    """From top to bottom, of each line of a text. Glyphs have 100 units an em, and begin at the baseline."""
    found = [place[0] for each in element if (place := _PLACED.findall(each.get("transform", "")))]
    return [(float(y) - 100 * float(scale), float(y) + 30 * float(scale)) for y, scale in found]


def _is_comment(element: ET.Element) -> bool:
    return callable(element.tag)


def _clean(root: ET.Element, prefix: str) -> None:
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in _DROPPED or _is_comment(child)]:
            parent.remove(child)
    used = {match for each in root.iter() for match in _references(each)}
    for each in root.iter():
        if href := each.attrib.pop(f"{{{XLINK}}}href", None):
            each.set("href", href)
        for name, value in list(each.attrib.items()):
            if name == "id":
                del each.attrib["id"]
                if value in used:  # the others only name what is inside
                    each.set("id", prefix + value)
            elif name == "href" and value.startswith("#"):
                each.set("href", f"#{prefix}{value[1:]}")
            else:
                each.set(name, _REFERENCE.sub(lambda match: f"url(#{prefix}{match[1]})", _rounded(name, value)))


def _references(element: ET.Element) -> list[str]:
    found = [match for value in element.attrib.values() for match in _REFERENCE.findall(value)]
    href = element.get(f"{{{XLINK}}}href") or element.get("href") or ""
    return [*found, href[1:]] if href.startswith("#") else found


def _rounded(name: str, value: str) -> str:
    """Shorter numbers, but for scales, which are small."""
    if name not in ("d", "x", "y", "width", "height", "points"):
        return value
    return _NUMBER.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), value)
