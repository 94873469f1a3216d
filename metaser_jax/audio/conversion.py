"""How to make a .wav file of a recording that is not read."""

import os
import shlex

# What libsndfile does not read and people have, by suffix; ffmpeg makes a .wav of it.
CONVERTED = (".m4a", ".mp4", ".m4b", ".aac", ".wma", ".webm", ".mka", ".mkv", ".mov", ".amr", ".3gp", ".3g2")
_NEW = ("", "_converted")  # whether the name would be the same


def conversions(path: str) -> tuple[str, str]:
    """Return how to convert a recording, and how to convert all that are called as it is (NAME and its suffix)."""
    return conversion(path), conversion(f"NAME{os.path.splitext(path)[1]}")


def conversion(path: str) -> str:
    """Return how to make a .wav file of a recording that is not read."""
    name = os.path.basename(path)
    stem, suffix = os.path.splitext(name)
    # A name that begins with a hyphen would be an option.
    old, new = (f"./{one}" if one.startswith("-") else one for one in (name, f"{stem}{_NEW[suffix == '.wav']}.wav"))
    return f"Convert it, e.g. with ffmpeg -i {shlex.quote(old)} {shlex.quote(new)}"
