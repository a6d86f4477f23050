"""The API reference as pages, in the folder that is given: `pdoc smtpwire`, warnings being errors.

pdoc reads a copy of the package, in which the links of the rooms' documents lead to pages of the
reference or to the code host. Every public name must be on the page of its module, and every link
must lead somewhere.
"""

import inspect
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
sys.path[:0] = [str(ROOT), str(SOURCE)]

from tests.public import members, public_modules  # noqa: E402 - a clone need not be installed

PUBLIC = {
    module.__name__: [name for name, each in members(module) if not inspect.ismodule(each)]
    for module in public_modules()
}
HOME = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Homepage"]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)")
LINKED = re.compile(r'href="(?!https?:|\$)([^"#]*)#?([^".]*)"')
"""Links of pages; one with a dot is pdoc's own, to a member that it may have left out."""
HOSTS_OF_ROOMS = {"smtpwire/engine": "smtpwire", "smtpwire/command_line": "smtpwire"}
"""Rooms without a page: their documents stand on the package's."""


def page_of(target: Path) -> str:
    """The page on which a document or a module stands; "" where it is on none."""
    name = target.relative_to(SOURCE).with_suffix("").as_posix() if SOURCE in target.parents else ""
    room = name.removesuffix("/README").removesuffix("/__init__")
    room = HOSTS_OF_ROOMS.get(room, room)
    return f"{room}.html" if room.replace("/", ".") in PUBLIC else ""


def relinked(document: Path) -> str:
    """A document, as it stands on its page."""
    own = page_of(document)

    def link(found: re.Match[str]) -> str:
        path, anchor = found[1], found[2] or ""
        if not path:
            return found[0]
        target = (document.parent / path).resolve()
        page = page_of(target)
        if page:
            return f"]({os.path.relpath(page, Path(own).parent)}{anchor})"
        return f"]({HOME}/blob/main/{target.relative_to(ROOT).as_posix()}{anchor})"

    return LINK.sub(link, document.read_text())


def build(pages: Path) -> None:
    with tempfile.TemporaryDirectory() as work:
        copy = Path(work)
        shutil.copytree(SOURCE / "smtpwire", copy / "smtpwire")
        for document in SOURCE.rglob("*.md"):
            if page_of(document):
                (copy / document.relative_to(SOURCE)).write_text(relinked(document))
        command = ["-W", "error", "-m", "pdoc", "--mermaid", "--no-show-source", "-o"]
        subprocess.run(
            [sys.executable, *command, pages, "smtpwire"],
            env=os.environ | {"PYTHONPATH": work},
            cwd=work,
            check=True,
        )


def missing(pages: Path) -> list[str]:
    """Public names that are on no page, and links that lead nowhere."""
    found = []
    ids = {
        path: set(re.findall(r'id="([^"]+)"', path.read_text())) for path in pages.rglob("*.html")
    }
    for module, names in PUBLIC.items():
        there = ids.get(pages / f"{module.replace('.', '/')}.html", set())
        found += [f"{module}.{name}" for name in names if name not in there]
    for path in ids:
        for target, anchor in LINKED.findall(path.read_text()):
            page = (path.parent / target).resolve() if target else path
            if page not in ids or (anchor and anchor not in ids[page]):
                found.append(f"{path.relative_to(pages)}: {target}#{anchor}")
    return found


def main() -> None:
    pages = Path(sys.argv[1]).resolve()
    build(pages)
    if lost := missing(pages):
        sys.exit("not on the pages: " + ", ".join(sorted(set(lost))))


if __name__ == "__main__":
    main()
