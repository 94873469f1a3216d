"""Every notebook of docs/ runs from its first cell to its last, and says what it promises."""

import re
from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs" / "notebooks").glob("*.ipynb"))


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
# The kernel's client and its sockets warn of what is theirs.
@pytest.mark.filterwarnings("default")
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    notebook = nbformat.read(path, as_version=4)
    assert outputs(notebook) == [], "committed without outputs"
    # Compiled as for users: what a test's settings save in compilation, they lose in the loops here.
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()

    text = "".join(output.get("text", "") for output in outputs(notebook))
    pictures = [output for output in outputs(notebook) if "image/png" in output.get("data", {})]
    assert len(pictures) == 2
    score = {name.strip(): int(percent) for name, percent in re.findall(r"^(.+?)(\d+)% of new", text, re.M)}
    assert min(score["MAML"], score["ANIL"]) > score["from scratch"] + 20
