import re
from pathlib import Path

from agent import docs
from agent.core.model.reasons import Code
from agent.core.model.what_to_do import WHAT_TO_DO

ROOT = Path(__file__).parent.parent.parent


def test_runbook_has_a_paragraph_for_each_code() -> None:
    """Whoever meets a code finds its paragraph, and no paragraph speaks of a code that is gone."""
    headings = [
        line[4:]
        for line in (ROOT / "deploy/runbook.md").read_text().splitlines()
        if line.startswith("### ")
    ]
    assert sorted(headings) == sorted(Code)


def test_each_code_says_what_to_do() -> None:
    """No reason without a way out."""
    assert set(WHAT_TO_DO) == set(Code)


def test_the_page_of_phases_shows_the_table_as_it_is() -> None:
    """The picture of phases is generated from the transition table and is up to date."""
    text = docs.PHASES.read_text()
    assert docs.with_generated(text) == text


def test_every_link_leads_somewhere() -> None:
    """A page links only to files that exist."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")]
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\(([^)#]+)", page.read_text())
        if not link.startswith("https:")
    ]
    assert links
    assert [(str(page), link) for page, link in links if not (page.parent / link).exists()] == []
