"""What somebody gave instead of a model folder, and what to do with it."""

from pathlib import Path

MODEL = "model.json"
"""A folder is a model folder by this file."""


def what_is_there(folder: Path) -> str:
    """Return a message for the user, of a place that has no MODEL."""
    expected = "expected a model folder, which metaser adapt writes"
    if folder.suffix in (".pt", ".pth") and folder.is_file():
        return f"{folder} is a checkpoint of PyTorch, {expected}. metaser import-torch makes one of it."
    if not folder.is_dir():
        return f"{folder} is {'a file' if folder.exists() else 'not there'}, {expected}."
    if (folder / "config.json").is_file():
        return (
            f"{folder} is a training run (it has config.json), {expected}. metaser adapt --init={folder} "
            "--support=CLIPS --out=MODEL makes one of it."
        )
    inside = sorted(path.parent for path in folder.glob(f"*/{MODEL}"))
    if inside:
        return f"{folder} is no model folder; {', '.join(map(str, inside))} is. Give that."
    here = sorted(path.name for path in folder.iterdir())
    return f"{folder} is no model folder: {MODEL} is missing (there: {', '.join(here[:5]) or 'nothing'}), {expected}."
