import base64
import re
from html.parser import HTMLParser

import jax
import numpy as np
import pytest

from metaser_jax.errors import InputError
from metaser_jax.report import summarise, write_report
from metaser_jax.results.run_dir import environment

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that elements nest, and collects text, cells, attributes."""

    def __init__(self, path):
        super().__init__()
        self.open, self.attributes, self.text, self.tags = [], [], "", []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def report(tmp_path_factory, many_rows, metrics):
    return write_report(
        tmp_path_factory.mktemp("report") / "new",
        many_rows,
        title="Title <script>alert(1)</script> & more",
        intro="First paragraph.\n\nSecond <b>paragraph</b>.",
        command='run --x="<1>"',
        training=metrics,
        notes=["Note <i>one</i>", "A|B"],
        device="3 x Imaginary <GPU>",
    )


def test_files(report):
    assert report.name == "report.html"
    assert sorted(p.name for p in report.parent.iterdir()) == [
        *("adaptation_curve.pdf", "adaptation_curve.png", "confusion_matrix.pdf", "confusion_matrix.png"),
        *("report.html", "report.md", "tables.tex", "training.pdf", "training.png"),
    ]


def test_every_number_is_in_both(report, many_rows):
    page, markdown = Page(report).text, report.with_name("report.md").read_text()
    for summary in summarise(many_rows):
        of = (summary.target, summary.series.method, summary.shots)
        rows = [row for row in many_rows if (row["target"], row["method"], row["shots"]) == of]
        for score in ("macro_f1", "uar", "accuracy", "weighted_f1", "speaker_oracle_macro_f1"):
            values = [row[score] for row in rows]
            shown = f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
            assert str(getattr(summary, score)) == shown
            assert shown in page
            assert shown in markdown
    for text in ("0123456789abcdef", 'run --x="<1>"', jax.__version__, "librosa", "UTC", "Second"):
        assert text in page
        assert text in markdown
    assert environment()["device"].startswith(f"{jax.device_count()} x {jax.devices()[0].device_kind}")


def test_refers_to_nothing_outside(report):
    page = Page(report)
    references = [value for name, value in page.attributes if name in ("src", "href", "srcset", "action", "data")]
    inside = {f"#{value}" for name, value in page.attributes if name == "id"}
    assert {value for value in references if value.startswith("#")} == inside - {"#contents"}, "the table of contents"
    references = [value for value in references if not value.startswith("#")]
    assert len(references) == 3
    assert all(value.startswith("data:image/png;base64,") for value in references)
    names = ("adaptation_curve", "confusion_matrix", "training")
    for value, name in zip(references, names, strict=True):
        assert base64.b64decode(value.partition(",")[2]) == report.with_name(f"{name}.png").read_bytes()
    assert not re.search(r"https?:|url\(|@import", report.read_text())
    assert not {"script", "link", "iframe"} & set(page.tags)


def test_strings_are_escaped(report):
    page = Page(report)
    assert "Title <script>alert(1)</script> & more" in page.text
    assert "Note <i>one</i>" in page.text
    assert "3 x Imaginary <GPU>" in page.text
    assert not {"b", "i"} & set(page.tags)
    markdown = report.with_name("report.md").read_text()
    assert r"\<script\>" in markdown
    assert r"A\|B" in markdown


def test_one_seed_without_training(tmp_path, make_row):
    path = write_report(tmp_path, [make_row()], title="t", intro="i", command="c", device="cpu")
    page = Page(path).text
    assert "(one draw)" in page
    assert re.search(r"\d ± \d", page) is None
    assert "Notes" not in page
    assert not (tmp_path / "training.png").exists()


def test_folds_are_named_one_by_one(tmp_path, make_row):
    rows = [make_row(0, split="speaker", folds=2, fold=f, split_digest=f"digest{f}") for f in range(2)]
    page = Page(write_report(tmp_path, rows, title="t", intro="i", command="c", device="cpu")).text
    for text in ("speaker, 2 folds: fold 0", "speaker, 2 folds: fold 1", "digest0", "digest1"):
        assert text in page
    assert "the draw's score is the mean over them" in page
    assert "one draw of 2 folds" in page


def test_nothing_is_written_for_bad_rows(tmp_path, make_row):
    for rows in ([], [make_row(macro_f1=None)], [make_row(), make_row(macro_f1=0.1)]):
        with pytest.raises(InputError):
            write_report(tmp_path / "new", rows, title="t", intro="i", command="c", device="cpu")
    assert not (tmp_path / "new").exists()
