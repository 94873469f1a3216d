"""A report's text for a terminal."""

from metaser_jax.report.content import Bullets, Code, Content, Picture, Section, Table
from metaser_jax.report.text_page import text_page

PAGE = Content(
    "Title",
    "One two three four five.\n\nSix.",
    (
        Section("First", ("a paragraph", Bullets(("one two three four five six", "seven")), Code("x = 1\n\ny"))),
        Section("Second", (Table(["what", "n"], [["a thing", "1"]]), Picture("p.png", b"", 1, "A picture."))),
    ),
)
TEXT = """\
Title

One two three
four five.

Six.

First
-----

a paragraph

- one two three
  four five six
- seven

    x = 1

    y

Second
------

what     n
-------  ---
a thing  1

[p.png: A picture.]
"""


def test_every_block():
    assert text_page(PAGE, width=15) == TEXT


def test_a_wide_table_is_wrapped():
    table = Table(["a", "what it is", "b"], [["1", "twenty letters and more than that", "2"], ["3", "", "4"]])
    lines = text_page(Content("", "", (Section("", (table,)),)), width=30).splitlines()
    assert lines[-5:] == [
        "a    what it is          b",
        "---  ------------------  ---",
        "1    twenty letters and  2",
        "     more than that",
        "3                        4",
    ]
