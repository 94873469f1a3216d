"""How to cite a result: BibTeX of this software, of the paper whose method it is, and of the corpora."""

import importlib.resources
from collections.abc import Iterable

from metaser_jax.extras import version
from metaser_jax.report.content import Block, Code, Section
from metaser_jax.results.rows import Row

_PACKAGE = importlib.resources.files("metaser_jax")
# Corpora of the user's own recordings, whose entry would be this software's; and synthetic voices, of this software.
_OWN, _DEMO = "folder", "demo_"


def corpora_of(rows: Iterable[Row]) -> list[str]:
    """Return the corpora that rows are of: targets and sources, sorted."""
    return sorted({name for row in rows for name in (row["target"], *(row["sources"] or ()))})


def cite_section(corpora: Iterable[str]) -> Section:
    """Return what to cite, as BibTeX. corpora: names that were used, as flags take them."""
    # As CITATION.cff has them, which is no part of the package (tests/report/test_citation.py holds them together).
    own = (_PACKAGE / "report" / "software.bib").read_text(encoding="utf-8").strip()
    entries, without = [own.replace("VERSION", version("metaser_jax"))], []
    for name in dict.fromkeys(corpora):
        folder = name.partition("/")[0]
        entry = _PACKAGE / "datasets" / folder / "CITATIONS.bib"
        if folder != _OWN and entry.is_file():
            entries.append(entry.read_text(encoding="utf-8").strip())
        elif not name.startswith(_DEMO):
            without.append(name)
    blocks: list[Block] = ["The software, the paper whose method it is, and every corpus that was used."]
    if without:
        blocks.append(f"Cite {', '.join(without)} as whoever recorded them asks: no entry for them is known here.")
    return Section("How to cite", (*blocks, Code("\n\n".join(dict.fromkeys(entries)))))
