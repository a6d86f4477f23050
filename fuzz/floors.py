"""What the targets are to reach: the floors without I/O, and what reads a user's text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["FLOORS", "SOURCE", "files"]

SOURCE: Final = Path(__file__).parents[1] / "src" / "smtpwire"
FLOORS: Final = {
    "wire": ("wire",),
    "extensions": ("extensions",),
    "sasl": ("sasl",),
    "engine": ("engine",),
    "transcript": ("transcript.py",),
    "script": ("testing/script.py",),
}


def files(places: tuple[str, ...]) -> Iterator[Path]:
    """The source files of a floor."""
    for place in places:
        path = SOURCE / place
        yield from [path] if path.is_file() else sorted(path.rglob("*.py"))
