"""How much one vLLM serves: many adapters on one base under the load of simulated editors, beside base only and one adapter.

    python bench/engine_load.py --python VLLM_ENV/bin/python [--adapters 1,8,32,128] [--editors 8] [--seconds 20]

An editor asks for a menu's scores (32 names), waits, asks for the arguments of a call, waits, in files of its own; it stays with
one adapter, as a person stays with a library. The row `0` is the base alone. Adapters are of random numbers, rank 16. One
server per library is what `1` with a share of the cores would be: its throughput cannot be above that of row `1`, in
so much memory for each of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from pathlib import Path

import numpy as np
from octod.adapters import mixture
from octod.adapters.identity import bundled_base
from octod.adapters.verify import MODULES, base_shapes
from octod.core.errors import EngineProblem
from octod.core.paths import Paths
from octod.daemon.engines.protocol import AdapterFiles, CallConstraint, Prompt
from octod.daemon.engines.vllm import VllmEngine
from octod.daemon.engines.vllm_child import Child

NAMES = [f"{verb}_{noun}" for verb in ("get", "set", "read", "make") for noun in ("item", "frame", "name", "path", "row", "user", "page", "file")]
CONSTRAINT = CallConstraint(
    keywords=("path", "mode", "timeout"), required=("path",), positional=2, positional_names=("path", "mode"), names=("path",)
)
PAUSE = 0.3  # seconds between two questions of an editor, on average
RANK = 16
PATIENCE = 60.0


def make_adapter(folder: Path, number: int) -> AdapterFiles:
    """An adapter of small random numbers."""
    shapes, source, factors = base_shapes(bundled_base().config()), np.random.default_rng(number), {}
    for layer in range(shapes["layers"][0]):
        for module in MODULES:
            outputs, inputs = shapes[module]
            part = "self_attn" if module[0] in "qkvo" else "mlp"
            a, b = source.normal(0, 0.02, (RANK, inputs)), source.normal(0, 0.02, (outputs, RANK))
            factors[f"model.layers.{layer}.{part}.{module}"] = (a.astype(np.float32), b.astype(np.float32))
    place = folder / f"load-{number}"
    config = mixture.write(factors, place)
    return AdapterFiles(place.name, place, config.rank, config.scaling)


async def editor(engine: VllmEngine, number: int, adapters: int, until: float, times: dict[str, list[float]]) -> None:
    """One simulated editor: menus and arguments in turn, a file that grows."""
    source = random.Random(number)
    mix = ((f"load-{number % adapters}", 1.0),) if adapters else ()
    before = "".join(f"def step_{number}_{n}(path):\n    return path.read(n={n})\n\n" for n in range(12))
    while time.monotonic() < until:
        before += f"value = store.get_item({source.randrange(1000)})\n"
        for kind in ("menu", "arguments"):
            await asyncio.sleep(source.expovariate(1 / PAUSE))
            began = time.perf_counter()
            try:
                if kind == "menu":
                    await engine.score(Prompt(before, (), "row = store."), NAMES, mix, PATIENCE)
                else:
                    await engine.generate(Prompt(before, (), "row = store.read_file("), CONSTRAINT, mix, PATIENCE)
            except EngineProblem as error:
                times.setdefault("failed", []).append(0.0)
                print(f"# {error}", flush=True)
                continue
            times.setdefault(kind, []).append(time.perf_counter() - began)


async def measure(options: argparse.Namespace) -> list[dict[str, object]]:
    """One server, one row for each number of adapters."""
    rows: list[dict[str, object]] = []
    base = bundled_base().folder
    with tempfile.TemporaryDirectory() as folder:
        paths = Paths.of({"OCTOD_HOME": f"{folder}/o"})
        engine = VllmEngine(Child(options.python, base, paths), base, paths)
        began = time.perf_counter()
        await engine.start()
        print(f"# ready after {time.perf_counter() - began:.1f} s", flush=True)
        try:
            for count in [0, *map(int, options.adapters.split(","))]:
                for number in range(count):
                    await engine.load(make_adapter(Path(folder), number))
                times: dict[str, list[float]] = {}
                # As many editors as adapters where there are more of these: each adapter is asked for.
                editors = max(options.editors, min(count, options.most_editors))
                until = time.monotonic() + options.seconds
                began = time.perf_counter()
                await asyncio.gather(*(editor(engine, n, count, until, times) for n in range(editors)))
                took = time.perf_counter() - began
                row: dict[str, object] = {"adapters": count, "editors": editors, "memory_mb": memory(engine.info.pid) // 10**6}
                row["per_second"] = round(sum(map(len, times.values())) / took, 2)
                for kind, some in sorted(times.items()):
                    row[f"{kind}_p50_ms"], row[f"{kind}_p95_ms"] = (round(1e3 * float(np.quantile(some, q))) for q in (0.5, 0.95))
                row["of_base"] = round(float(row["per_second"]) / float(rows[0]["per_second"] if rows else row["per_second"]), 2)  # type: ignore[arg-type]
                rows.append(row)
                print(json.dumps(row), flush=True)
        finally:
            await engine.stop()
    return rows


def memory(pid: int | None) -> int:
    """Bytes of vLLM's processes."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(entry.name)) == pid:
                total += int((entry / "statm").read_text().split()[1])
        except OSError:
            continue
    return total * os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", type=Path, required=True, help="the interpreter of an environment that has vLLM")
    parser.add_argument("--adapters", default="1,8,32,128")
    parser.add_argument("--editors", type=int, default=8)
    parser.add_argument("--most-editors", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=20.0)
    rows = asyncio.run(measure(parser.parse_args()))
    heads = list(rows[-1])
    print("\n| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(str(row.get(head, "")) for head in heads) + " |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
