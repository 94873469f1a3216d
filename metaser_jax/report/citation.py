"""How to cite a result: BibTeX of this software, of the paper whose method it is, and of the corpora."""

import importlib.resources
from collections.abc import Iterable

from metaser_jax.report.content import Block, Code, Section
from metaser_jax.results.rows import Row
from metaser_jax.versions import version

# As CITATION.cff has them, which is no part of the package (tests/report/test_citation.py holds them together).
SOFTWARE = """\
@software{{metaser_jax,
  title = {{metaser\\_jax: {{MetaSER}} in {{JAX}}}},
  author = {{{{The metaser\\_jax developers}}}},
  version = {{{version}}},
  license = {{Apache-2.0}},
}}"""
PAPER = """\
@inproceedings{chopra2021metaser,
  title = {Meta-Learning for Low-Resource Speech Emotion Recognition},
  author = {Chopra, Suransh and Mathur, Puneet and Sawhney, Ramit and Shah, Rajiv Ratn},
  booktitle = {ICASSP 2021 - 2021 IEEE International Conference on Acoustics, Speech and Signal Processing},
  pages = {6259--6263},
  year = {2021},
  doi = {10.1109/ICASSP39728.2021.9414373},
}"""
# Corpora of the user's own recordings, whose entry would be this software's.
_OWN = "folder"
_DEMO = "demo_"


def corpora_of(rows: Iterable[Row]) -> list[str]:
    """Return the corpora that rows are of: targets and sources, sorted."""
    return sorted({name for row in rows for name in (row["target"], *(row["sources"] or ()))})


def cite_section(corpora: Iterable[str]) -> Section:
    """Return what to cite, as BibTeX. corpora: names that were used, as flags take them."""
    entries, without = [SOFTWARE.format(version=version("metaser_jax")), PAPER], []
    for name in dict.fromkeys(corpora):
        if name.startswith(_DEMO):  # synthetic voices, of this software
            continue
        found = _entry(name)
        if found is None:
            without.append(name)
        elif found not in entries:
            entries.append(found)
    blocks: list[Block] = ["The software, the paper whose method it is, and every corpus that was used."]
    if without:
        blocks.append(f"Cite {', '.join(without)} as whoever recorded them asks: no entry for them is known here.")
    return Section("How to cite", (*blocks, Code("\n\n".join(entries))))


def _entry(corpus: str) -> str | None:
    """Return a corpus's CITATIONS.bib; None of the user's own recordings."""
    folder = corpus.partition("/")[0]
    path = importlib.resources.files("metaser_jax") / "datasets" / folder / "CITATIONS.bib"
    return path.read_text(encoding="utf-8").strip() if folder != _OWN and path.is_file() else None
