"""Pictures in a page: ids of their own, no words that the page says itself, and nothing but the picture."""

import re
import xml.etree.ElementTree as ET

import pytest

from experiments.report.svg import drawing

PICTURE = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="720pt" height="405pt" viewBox="0 0 720 405"
 xmlns="http://www.w3.org/2000/svg" version="1.1">
 <metadata>x</metadata>
 <defs><style type="text/css">*{stroke-linejoin: round}</style></defs>
 <g id="figure_1">
  <path d="M 1.23456 -7.000004 L 0.001 12345" clip-path="url(#clip)"/>
  <use xlink:href="#glyph" x="1.0000"/>
  <g id="t0"><!-- 4 workers --><g transform="translate(9 200) scale(0.1 -0.1)"/></g>
  <g id="t1"><!-- A "title" &amp; --><g transform="translate(14.4 24) scale(0.15 -0.15)"/>
   <!-- &lt;more&gt; --><g transform="translate(14.4 42) scale(0.15 -0.15)"/></g>
  <g id="t2"><!-- 4 workers --><g transform="translate(14.4 60) scale(0.1 -0.1)"/></g>
  <g id="t3"><!-- foot. --><g transform="translate(14.4 400) scale(0.08 -0.08)"/></g>
  <g id="t4"><!-- This is the --><g transform="translate(14.4 390) scale(0.08 -0.08)"/></g>
  <g id="t5"><!-- not in the note --><g transform="translate(14.4 300) scale(0.08 -0.08)"/></g>
 </g>
 <defs><path id="glyph" d="M 1 2"/><clipPath id="clip"><rect width="1" height="2"/></clipPath></defs>
</svg>"""

TITLE, NOTE = 'A "title" & <more>', "This is the foot."


@pytest.fixture
def made():
    return drawing(PICTURE, "p-", TITLE, NOTE)


def test_ids_that_are_used_get_the_prefix_and_the_others_go(made):
    assert re.findall(r' id="([^"]*)"', made.markup) == ["p-glyph", "p-clip"]
    assert 'clip-path="url(#p-clip)"' in made.markup
    assert 'href="#p-glyph"' in made.markup
    assert "xlink" not in made.markup


def test_it_is_an_image_with_a_name_and_without_a_size(made):
    root = ET.fromstring(made.markup)
    assert root.get("role") == "img"
    assert root.get("aria-label") == TITLE
    assert root.get("width") is root.get("height") is None


def test_words_that_the_page_says_are_cut_off_and_no_others(made):
    assert made.conditions == "4 workers"
    left, top, width, height = map(float, ET.fromstring(made.markup).get("viewBox").split())
    assert (left, width) == (0, 720)
    assert 60 < top < 66
    assert 370 < top + height < 390 - 8
    assert re.findall(r"translate[(]\S+ (\d+)", made.markup) == ["200", "300"]
    assert "<!--" not in made.markup


def test_a_picture_with_another_heading_is_whole():
    made = drawing(PICTURE, "", "another title", NOTE)
    assert 'viewBox="0 0.00 720 405.00"' in made.markup
    assert made.markup.count("translate") == 7
    assert made.conditions == ""


def test_what_would_change_the_page_around_it_is_dropped(made):
    assert not re.search("<style|<metadata|<script|<!DOCTYPE|<[?]xml", made.markup)


def test_coordinates_are_short(made):
    assert 'd="M 1.23 -7 L 0 12345"' in made.markup


@pytest.mark.parametrize("text", ["", "no", "<html/>", "<svg/>", '<svg xmlns="http://www.w3.org/2000/svg"/>'])
def test_what_is_no_picture_is_refused(text):
    with pytest.raises(ValueError, match="no SVG"):
        drawing(text, "", "")
