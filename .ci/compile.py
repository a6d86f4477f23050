"""The build hook that compiles: modules by mypyc, and the searches of ``wire/scan.py`` from C.

hatch calls it where the build asks for it (``HATCH_BUILD_HOOKS_ENABLE=1``); without it the wheel is
pure Python. What it makes goes into the wheel and nowhere else: beside its source a compiled module
would hide every later edit.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledModules(BuildHookInterface[Any]):
    """What is compiled stands in ``pyproject.toml``: ``modules``, and ``sources`` in C."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return  # which runs the sources
        self._work = Path(tempfile.mkdtemp(prefix="smtpwire-"))
        arguments = [self.root, str(self._work), *self.config["modules"], *self.config["sources"]]
        done = subprocess.run(
            [sys.executable, __file__, *arguments],
            cwd=self._work,  # mypy and setuptools find no settings there
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"the modules could not be compiled:\n{done.stdout}")
        made = self._work / "made"
        for path in made.rglob("*.*"):
            build_data["force_include"][str(path)] = path.relative_to(made).as_posix()
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            shutil.rmtree(self._work)


def compile_modules(root: Path, work: Path, sources: list[str]) -> None:
    """Compile Python and C sources, named as they stand below ``root``, into ``work/made``."""
    from mypyc.build import mypycify
    from setuptools import Distribution, Extension

    python = [str(root / source) for source in sources if source.endswith(".py")]
    flags = [] if sys.platform == "win32" else ["-O3", "-funroll-loops"]
    # What adapters and testing import besides, as trio, need not be there: they are not compiled.
    options = ["--config-file=", "--ignore-missing-imports"]
    extensions = mypycify([*options, *python], opt_level="3", target_dir=str(work))
    for source in sources:
        if source.endswith(".c"):
            name = ".".join(Path(source).with_suffix("").parts[1:])
            extensions.append(Extension(name, [str(root / source)], extra_compile_args=flags))
    build = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
    build.build_lib, build.build_temp = str(work / "made"), str(work)
    build.ensure_finalized()
    build.run()


if __name__ == "__main__":
    root, work, *sources = sys.argv[1:]
    compile_modules(Path(root), Path(work), sources)
