"""A picture that was drawn as an SVG file, made ready to stand in a page beside others.

What the page says in words of its own is taken out of the picture: the heading, the conditions and the foot, which the
frame of every chart marks with these names (see experiments.charts.slide). So it can be read on a phone, and found.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
HEADING, CONDITIONS, FOOT = "slide-heading", "slide-conditions", "slide-foot"
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


def drawing(source: str, prefix: str, label: str) -> Drawing:
    """The picture in `source`, with ids that begin with `prefix`, so that pictures do not mix theirs up.

    Its size is left to the page, its coordinates have two digits after the point (of a point), and `label` is what it
    is called where it cannot be seen. ValueError if `source` is no SVG.
    """
    ET.register_namespace("", SVG)
    try:
        root = ET.fromstring(source, ET.XMLParser(target=ET.TreeBuilder(insert_comments=True)))
    except ET.ParseError as error:
        raise ValueError(f"no SVG: {error}") from None
    if root.tag != f"{{{SVG}}}svg" or "viewBox" not in root.attrib:
        raise ValueError("no SVG with a viewBox")
    conditions = _without_words(root)
    _clean(root, prefix)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", label)
    return Drawing(re.sub(r">\s+<", "><", ET.tostring(root, encoding="unicode")), conditions)


def _without_words(root: ET.Element) -> str:
    """Take heading, conditions and foot out of `root` and make it lower by as much; returns the conditions."""
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    upper, lower, conditions = top, top + height, ""
    for parent in list(root.iter()):
        for child in list(parent):
            which = next((name for name in (HEADING, CONDITIONS, FOOT) if name in child.get("id", "")), None)
            if which is None:
                continue
            parent.remove(child)
            spans = [_span(place[0]) for each in child.iter() if (place := _PLACED.findall(each.get("transform", "")))]
            if which == FOOT:
                lower = min([lower, *(above - _GAP for above, _ in spans)])
            else:
                upper = max([upper, *(below for _, below in spans)])
            if which == CONDITIONS:
                conditions = " ".join((each.text or "").strip() for each in child.iter() if _is_comment(each))
    root.set("viewBox", f"{left:g} {upper:.2f} {width:g} {lower - upper:.2f}")
    return conditions


def _is_comment(element: ET.Element) -> bool:
    return callable(element.tag)


def _span(place: tuple[str, str]) -> tuple[float, float]:
    """From top to bottom of a line of text whose glyphs, 100 units an em, are placed like that."""
    baseline, size = float(place[0]), 100 * float(place[1])
    return baseline - size, baseline + 0.3 * size


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
