"""What to cite is what CITATION.cff and the corpora say."""

import re
from pathlib import Path

import yaml

from metaser_jax.report.content import Code
from metaser_jax.report.page import cite_section, corpora_of

ROOT = Path(__file__).parents[2]


def test_as_citation_cff_has_it():
    of = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    (code,) = [block for block in cite_section([]).blocks if isinstance(block, Code)]
    software, paper_entry = code.text.split("\n\n")
    (paper,) = of["references"]
    for value in (paper["title"], paper["doi"], str(paper["year"]), f"{paper['start']}--{paper['end']}"):
        assert f"{{{value}}}" in paper_entry
    names = " and ".join(f"{one['family-names']}, {one['given-names']}" for one in paper["authors"])
    assert f"author = {{{names}}}" in paper_entry
    plain = re.sub(r"[{}\\]", "", software)
    for value in (of["title"], of["authors"][0]["name"], of["version"], of["license"]):
        assert f" = {value}," in plain


def test_every_corpus_that_was_used(make_row):
    rows = [make_row(target="emodb", sources=["tess", "folder/mine", "demo_italian"]), make_row(sources=None)]
    assert corpora_of(rows) == ["demo_italian", "emodb", "folder/mine", "tess", "urdu"]
    section = cite_section(corpora_of(rows))
    (code,) = [block for block in section.blocks if isinstance(block, Code)]
    for key in ("@software{metaser_jax,", "chopra2021metaser", "burkhardt2005emodb", "pichorafuller2020tess", "latif2"):
        assert code.text.count(key) == 1
    assert any("Cite folder/mine as whoever recorded them asks" in block for block in section.blocks)
    assert "demo" not in str(section.blocks)
