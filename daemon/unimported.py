"""Names that a file could import: found by their beginning in a table that a process of its own makes (gather.py)."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import json
import logging
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from octod.core.errors import IndexProblem
from octod.daemon.gather import FORMAT, stamps
from octod.indexer.store import Index

__all__ = ["ALIASES", "Importable", "Table", "Unimported"]

log = logging.getLogger("octod.daemon")

_LOOKED_AT = 5_000  # lines of one beginning; a hundred libraries have 3,000 names that begin with "get"
_MOST = 300  # of them, the most used
_ALWAYS = 1 << 60
_MOST_FREQUENT = 4_000  # names that a letter or two may mean
_USED = re.compile(rb"^[^\n]*\t[1-9]\d*$", re.MULTILINE)
_LARGEST = 10_000_000  # bytes of a table
_AGAIN = 20.0  # seconds between two tables of one environment: a project's record changes with every file that is saved

# What modules are called by common agreement: by their own documentation, and in ruff's list of conventional aliases
# (flake8-import-conventions).  Offered only where the module is installed.
ALIASES = {
    "alt": "altair", "az": "arviz", "cp": "cupy", "da": "dask.array", "dd": "dask.dataframe", "dt": "datetime",
    "ET": "xml.etree.ElementTree", "F": "torch.nn.functional", "gpd": "geopandas", "gr": "gradio", "go": "plotly.graph_objects",
    "hv": "holoviews", "jnp": "jax.numpy", "lgb": "lightgbm", "mcolors": "matplotlib.colors", "mdates": "matplotlib.dates",
    "mpatches": "matplotlib.patches", "mpl": "matplotlib", "mticker": "matplotlib.ticker", "ndi": "scipy.ndimage", "nn": "torch.nn",
    "np": "numpy", "npt": "numpy.typing", "nx": "networkx", "pa": "pyarrow", "pc": "pyarrow.compute", "pd": "pandas", "pl": "polars",
    "plt": "matplotlib.pyplot", "pm": "pymc", "pq": "pyarrow.parquet", "px": "plotly.express", "sa": "sqlalchemy",
    "sm": "statsmodels.api", "smf": "statsmodels.formula.api", "sns": "seaborn", "sp": "scipy", "st": "streamlit",
    "tf": "tensorflow", "tk": "tkinter", "xgb": "xgboost", "xr": "xarray",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Importable:
    """``from module import name``, or ``import name`` where ``module`` is empty.

    ``uses`` are the calls in what was mined and the modules of other libraries, and of the project, that import it.
    """

    name: str
    module: str
    kind: str
    uses: int


class Table:
    """The lines of a table in memory as they are on disk; looked up by bisection over bytes.

    ``calls`` are the modules that are called into, with how often.
    """

    def __init__(self, data: bytes) -> None:
        first = data.find(b"\n") + 1
        while data.startswith(b"\t", first):  # what gathering remembers for itself
            first = (data.find(b"\n", first) + 1) or len(data)
        self._lines = data[first:]
        used = [_read(match[0]) for match in _USED.finditer(self._lines)]
        self.calls = {f"{one.module}.{one.name}".lstrip("."): one.uses for one in used if one.kind == "module"}
        self._frequent = sorted(used, key=lambda one: -one.uses)[:_MOST_FREQUENT]

    def __len__(self) -> int:
        return self._lines.count(b"\n")

    def beginning(self, prefix: str) -> list[Importable]:
        """The names that begin so, in whatever case; in no order of worth.  Of a letter or two those used often alone."""
        if len(prefix) < 3:
            return [one for one in self._frequent if one.name.lower().startswith(prefix.lower())]
        wanted, lines = prefix.lower().encode("utf-8", "replace"), self._lines
        low, high = 0, len(lines)
        while low < high:  # the start of the first line that is not before the prefix
            middle = lines.rfind(b"\n", 0, (low + high) // 2) + 1
            end = lines.find(b"\n", middle)
            if lines[middle:end] < wanted:
                low = end + 1
            elif middle == low:
                break
            else:
                high = middle
        rows: list[tuple[int, bytes]] = []
        while lines.startswith(wanted, low) and len(rows) < _LOOKED_AT:
            end = lines.find(b"\n", low)
            if end < 0:
                break
            line = lines[low:end]
            exact = line.startswith(b"\t", len(wanted))
            rows.append((_ALWAYS if exact else int(line[line.rindex(b"\t") + 1 :]), line))
            low = end + 1
        return [_read(line) for _, line in heapq.nlargest(_MOST, rows)]


def _read(line: bytes) -> Importable:
    _, name, module, kind, _, uses = line.decode("utf-8", "replace").split("\t")
    return Importable(name, module, kind, int(uses))


class Unimported:
    """One environment's table, made again in the background when what is installed has changed."""

    def __init__(self, index: Index, path: Path) -> None:
        self.index = index
        self._path = path
        self._table: Table | None = None
        self._generation = -1
        self._task: asyncio.Task[None] | None = None
        self._not_before = float("-inf")

    def beginning(self, prefix: str) -> list[Importable]:
        """What could be imported under a name that begins so; until there is a table, installed modules alone."""
        if self._table is None:
            low = prefix.lower()
            tops = [t for t in self.index.import_names() if t.lower().startswith(low) and not t.startswith("_")]
            return [Importable(top, "", "module", 0) for top in tops]
        return self._table.beginning(prefix)

    @property
    def calls(self) -> Mapping[str, int]:
        """How often each module is called into, in what was mined."""
        return self._table.calls if self._table is not None else {}

    def look(self) -> None:
        """Bring the table up to date in the background if the index has changed; cheap, for after each question."""
        if (self._task is not None and not self._task.done()) or time.monotonic() < self._not_before:
            return
        try:
            generation = self.index.generation
        except (IndexProblem, LookupError):
            return
        if generation != self._generation:
            self._task = asyncio.create_task(self._refresh(generation))

    async def stop(self) -> None:
        """End the process that gathers, if there is one."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _refresh(self, generation: int) -> None:
        self._not_before = time.monotonic() + _AGAIN
        try:
            made_of = await asyncio.to_thread(self.load)
            if made_of != await asyncio.to_thread(lambda: stamps(self.index.import_names())):
                await self._gather()
                await asyncio.to_thread(self.load)
            self._generation = generation
        except (OSError, ValueError, IndexProblem) as error:
            log.info("names of %s: %s", self._path.stem, error)

    def load(self) -> dict[str, str]:
        """Take the table from its file; what it was made of, nothing when there is none that fits."""
        try:
            if self._path.stat().st_size > _LARGEST:
                return {}
            data = self._path.read_bytes()
            head = json.loads(data.partition(b"\n")[0])
            if head["format"] != FORMAT or not isinstance(head["stamps"], dict):
                return {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        self._table = Table(data)
        return head["stamps"]

    async def _gather(self) -> None:
        command = (sys.executable, "-P", "-m", "octod.daemon.gather", str(self.index.path), str(self._path))
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        try:
            _, problem = await process.communicate()
            if process.returncode:
                log.info("names: %s", problem.decode("utf-8", "replace")[-300:])
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
