"""The examples of README and docs work when pasted, and their links and images resolve."""

import re
from pathlib import Path

import pytest
from syncbench import AllReduce, check

from experiments.cli.demo import DEMO
from experiments.cli.main import VERBS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = {str(page.relative_to(ROOT)): page.read_text() for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))}


def python(page):
    """The Python examples of a page."""
    return re.findall(r"```python\n(.*?)```", PAGES[page], re.DOTALL)


def prose(page):
    """The text of a page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", PAGES[page], flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """What links to a page may name: its headings as GitHub spells them, and its own anchors."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    spelled = [re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", head)).lower() for head in headings]
    return {each.replace(" ", "-") for each in spelled} | set(re.findall(r'<a id="([^"]*)">', PAGES[page]))


LINKS = sorted({(page, link) for page in PAGES for link in re.findall(r"\]\(((?!https?:)[^)\s]+)\)", prose(page))})


def test_the_strategy_keeps_its_promises_and_has_15_lines_at_most():
    names = {}
    (code,) = python("README.md")
    exec(code, names)
    (strategy,) = (each for each in names.values() if isinstance(each, type) and each is not AllReduce)
    assert check(strategy) > 50
    assert len(code.strip().splitlines()) <= 15


def test_the_simulation_prints_what_is_said_below_it(capsys):
    (code,) = python("docs/your-strategy.md")
    exec(code, {})
    (said,) = re.findall(r"^prints (.*?): ", PAGES["docs/your-strategy.md"], re.MULTILINE)
    assert capsys.readouterr().out.splitlines() == re.findall(r"`([^`]*)`", said)


@pytest.mark.parametrize("page", sorted(PAGES))
def test_examples_import_syncbench_and_nothing_else_of_this_project(page):
    imports = re.findall(r"^\s*(?:from|import) (\w+)", "\n".join(python(page)), re.MULTILINE)
    assert not {"common", "ps", "allreduce", "experiments"} & set(imports)


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_each_link_and_image_resolves(page, link):
    path, _, anchor = link.partition("#")
    target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
    assert target.exists()
    if anchor:
        assert anchor in anchors(str(target.relative_to(ROOT)))


@pytest.mark.parametrize("page", sorted(PAGES))
def test_each_file_of_the_code_that_a_page_names_exists(page):
    files = re.findall(r"`((?:common|ps|allreduce|experiments|tests)/[\w/.]*\.\w+)`", prose(page))
    assert not [file for file in files if not (ROOT / file).exists()]


def test_the_readme_names_every_page():
    named = {link.partition("#")[0] for page, link in LINKS if page == "README.md"}
    assert {f"docs/{page.name}" for page in ROOT.glob("docs/*.md")} <= named


def test_the_readme_has_150_lines_at_most():
    assert len(README.splitlines()) <= 150


def test_the_tables_are_those_of_the_demo():
    shown = PAGES["docs/demo.md"].partition("<!-- demo table -->")[2].partition("<!-- /demo table -->")[0].strip()
    assert re.match(r"\*\*(Against ps-bsp|There is no verdict) .*\.\*\*$", shown, re.MULTILINE)
    names = [line.split("|")[1].strip() for line in shown.splitlines() if line.startswith("|")]
    first, second = names[: len(names) // 2], names[len(names) // 2 :]
    assert first == second
    assert (first[0], set(first[2:])) == ("strategy", set(DEMO))
    heads = [line for line in shown.splitlines() if line.startswith("| strategy |")]
    assert [("verdict" in head, "sync %" in head) for head in heads] == [(True, False), (False, True)]


def test_each_command_of_the_pages_is_one():
    lines = re.findall(r"^(?:\$ |    )syncbench (\w\S*)", "\n".join(PAGES.values()), re.MULTILINE)
    assert len(lines) > 15
    assert set(lines) <= set(VERBS)


@pytest.mark.parametrize("page", sorted(PAGES))
def test_no_sentence_has_a_clause_with_who_as_its_subject(page):
    assert not re.findall(r'(?:^|[.;:(] |""")[Ww]ho [a-z]+', PAGES[page], re.MULTILINE)
