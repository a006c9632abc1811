"""Compiles ``capture/resampling.c`` where a package is built, into the source tree and into the wheel.

Without a compiler, or where it fails, the package is as complete, and resizes by NumPy.
CC names another compiler, and _PYTHON_HOST_PLATFORM, as for Python's own builds, the machine it compiles for.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LIBRARY = "_resampling.so"
FLAGS = ("-O3", "-std=gnu11", "-Wall", "-Wextra", "-fPIC", "-shared")


class CompileResampling(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        folder = Path(self.root) / "catseye" / "capture"
        made = folder / LIBRARY
        made.unlink(missing_ok=True)
        fault = compile_library(folder / "resampling.c", made)
        if fault:
            self.app.display_warning(f"pictures will be resized by NumPy, which takes longer: {fault}")
            return
        if version == "editable":  # which finds it in the source tree
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
        build_data["force_include"][str(made)] = f"catseye/capture/{LIBRARY}"


def compile_library(source: Path, made: Path) -> str:
    """What went wrong; empty where the library was made."""
    named = shlex.split(os.environ.get("CC", ""))
    found = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    compiler = named or ([found] if found else [])
    if not compiler:
        return "there is no C compiler (on Debian: apt-get install gcc libc6-dev)"
    part = made.with_suffix(f".{os.getpid()}.part")
    try:
        subprocess.run(
            [*compiler, *FLAGS, str(source), "-o", str(part)], check=True, capture_output=True, text=True
        )
        part.replace(made)
    except OSError as error:
        return f"{compiler[0]} does not start ({error})"
    except subprocess.CalledProcessError as error:
        return f"{compiler[0]} failed: {(error.stderr.strip().splitlines() or ['no message'])[-1]}"
    finally:
        part.unlink(missing_ok=True)
    return ""
