"""``octod train``: from an installed package to a published adapter, or a clear message and nothing left behind.

    check -> mine -> train -> evaluate -> publish

The minutes are for all of it. A training that was interrupted goes on from its checkpoint when the same command is given
again; one that failed leaves nothing. Nothing of the environment is imported or executed (promise P1).
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import importlib.util
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from octod.adapters import dataset, evaluate, lora
from octod.adapters.card import Card, Figure
from octod.adapters.identity import BaseModel, bundled_base
from octod.adapters.registry import Adapter, Registry
from octod.adapters.samples import Plan, Tools
from octod.adapters.verify import MODULES, base_shapes
from octod.core.errors import NotInstalled, TrainingProblem
from octod.core.paths import Paths, private_folder
from octod.indexer.lookup import ScopeSource

if TYPE_CHECKING:
    from octod.indexer.environment import Distribution, Environment

__all__ = ["Progress", "Trained", "train_package"]

FEWEST = 50  # samples; below that an adapter learns noise
MINING = 0.2  # share of the minutes at most
EVALUATION = 0.2
LONGEST_EVALUATION = 150.0  # seconds
_SKIPPED = {
    ".git",
    ".hg",
    ".venv",
    "venv",
    "node_modules",
    "__pycache__",
    ".tox",
    ".nox",
    "site-packages",
    "build",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands: the stage, its share done (0 to 1), and a few words."""

    stage: str
    share: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Trained:
    """A published adapter with its card; ``problems`` are files and measurements that were passed over."""

    adapter: Adapter
    card: Card
    problems: tuple[str, ...] = ()

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The table of the evaluation."""
        return self.card.figures


def train_package(
    package: str,
    environment: Environment,
    paths: Paths,
    *,
    minutes: float = 12.0,
    progress: Callable[[Progress], None] | None = None,
    index_path: Path | None = None,
    base: BaseModel | None = None,
    repositories: Sequence[Path] = (),
    measured: Sequence[Path] = (),
    shared: Path | None = None,
    command: str = "",
    parameters: lora.Hyperparameters | None = None,
    plan: Plan | None = None,
    tools: Tools | None = None,
    index: ScopeSource | None = None,
) -> Trained:
    """Train, evaluate and publish an adapter for an installed package.

    Args:
        package: distribution or import name.
        environment: where it is installed.
        minutes: wall clock for everything.
        index_path: the environment's index (default: where octod keeps it); built when it lacks the package.
        base: the base model (default: the bundled one).
        repositories: the user's source folders, mined beside the environment.
        measured: source folders to measure on beside the samples kept apart; never trained on.
        shared: folder of an adapter trained on all libraries, a control of the evaluation.
        parameters, plan, tools, index: to replace parts; the time budget is always set from ``minutes``.

    Raises:
        NotInstalled: the environment has no such package.
        TrainingProblem: no Python files, too few samples, a missing extra, no space.
    """
    began = time.monotonic()
    tell = progress or (lambda _: None)
    # 1. Everything that can be refused at once is refused before the first slow step.
    tell(Progress("check", 0.0))
    _require_extra()
    from octod.indexer.environment import distributions

    installed, problems = distributions(environment)
    distribution = _find(package, installed, environment)
    base = base or bundled_base()
    parameters = parameters or lora.Hyperparameters()
    _require_space(paths, base, parameters)
    _require_memory(base, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    # 2. Samples.
    plan = replace(plan or Plan(), seconds=MINING * 60 * minutes)
    sources = _sources(distribution, installed, repositories)

    def mined(done: int, total: int) -> None:
        tell(Progress("mine", done / max(total, 1), f"{done} of {total} files"))

    with contextlib.ExitStack() as stack:
        if index is None:
            index = stack.enter_context(_opened(environment, paths, index_path, distribution, tell))
        names = _import_names(distribution)
        data = dataset.build(
            index,
            distribution.library,
            names,
            sources,
            plan=plan,
            tools=tools,
            measured=_projects(measured),
            exclude=measured,
            progress=mined,
        )
    if len(data.train) < FEWEST:
        raise TrainingProblem(
            f"{distribution.library} gives only {len(data.train)} samples ({data.sites} call sites), "
            f"{FEWEST} are needed",
            "install packages that use it, or name repositories that call it",
        )
    # 3. Training, in a folder that survives only an interruption.
    name = f"{distribution.library.distribution}-{distribution.library.version}-{base.weights_hash[:12]}"
    with _workspace(paths, name) as work:
        measuring = min(LONGEST_EVALUATION, EVALUATION * 60 * minutes)
        left = max(0.3 * minutes, minutes - (time.monotonic() - began + measuring) / 60)
        budget = replace(parameters, minutes=min(left, parameters.minutes) if parameters.steps else left)

        def stepped(step: lora.Step) -> None:
            tell(Progress("train", step.share, f"step {step.number}, loss {step.loss:.2f}"))

        outcome = lora.train(base, data.train, work, parameters=budget, progress=stepped)
        # 4. The table with its controls.
        with Registry.open(paths) as registry:
            conditions = _conditions(outcome.folder, registry, base, distribution, shared)
            figures, notes = evaluate.measure(
                evaluate.judges(base.folder),
                conditions,
                {
                    "": data.evaluation,
                    "other-source": data.other_sources,
                    "new-function": data.new_functions,
                },
                data.members,
                seconds=measuring,
                progress=lambda share: tell(Progress("evaluate", share)),
            )
            # 5. Publishing.
            tell(Progress("publish", 0.0))
            used = data.sources()
            card = Card(
                library=distribution.library,
                base_name=base.name,
                base_weights=base.weights_hash,
                base_tokenizer=base.tokenizer_hash,
                created=datetime.now(UTC).isoformat(timespec="microseconds"),
                octod=_version(),
                command=command,
                seconds=round(time.monotonic() - began, 1),
                steps=outcome.steps,
                seed=parameters.seed,
                kinds=data.kinds(),
                sources=used,
                licences={s.name: s.licence for s in sources if s.name in used and s.licence},
                figures=figures,
                notes=notes,
            )
            adapter = registry.publish(outcome.folder, card)
    tell(Progress("publish", 1.0, adapter.name))
    return Trained(adapter, card, (*problems, *data.problems, *notes))


def _require_extra() -> None:
    missing = [name for name in ("torch", "transformers", "peft") if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainingProblem(f"{lora.MISSING}; {', '.join(missing)} not found", lora.INSTALL)


def _find(package: str, installed: Sequence[Distribution], environment: Environment) -> Distribution:
    wanted = package.strip().lower().replace("_", "-").replace(".", "-")
    found = [d for d in installed if d.library.distribution == wanted]
    found = found or [d for d in installed if package in d.import_names]
    if not found:
        raise NotInstalled(
            f"{package} is not installed in {environment.root}",
            "name an installed package, or another environment with --env",
        )
    if not found[0].files:
        raise TrainingProblem(
            f"{found[0].library} has no Python files",
            "there is nothing to learn its calls from; choose another package",
        )
    return found[0]


def _import_names(distribution: Distribution) -> tuple[str, ...]:
    """The import names, the one that looks like the distribution first, private ones last."""
    wanted = distribution.library.distribution.replace("-", "_")
    return tuple(
        sorted(distribution.import_names, key=lambda n: (n.lower() != wanted, n.startswith("_"), n))
    ) or (wanted,)


def _require_space(paths: Paths, base: BaseModel, parameters: lora.Hyperparameters) -> None:
    shapes = base_shapes(base.config())
    size = 4 * parameters.rank * sum(sum(shapes[m]) for m in MODULES) * shapes["layers"][0]
    # The adapter, its copy in the registry, and two checkpoints of three tensors each.
    needed = 8 * size + (32 << 20)
    for folder in {paths.data, paths.state}:
        existing = next(p for p in (folder, *folder.parents) if p.exists())
        free = shutil.disk_usage(existing).free
        if free < needed:
            raise TrainingProblem(
                f"no space left: {existing} has {free >> 20} MB free, {needed >> 20} MB are needed",
                "free some space, or set OCTOD_HOME to a folder on another disk",
            )


def _require_memory(base: BaseModel, total: int) -> None:
    """A base that the machine cannot hold in fp32, as it is trained, is refused before the kernel ends the process."""
    config, shapes = base.config(), base_shapes(base.config())
    tables = 1 if config.get("tie_word_embeddings") else 2
    embedding = shapes["o_proj"][0] * int(str(config["vocab_size"])) * tables
    weights = embedding + shapes["layers"][0] * sum(math.prod(shapes[m]) for m in MODULES)
    if 4 * weights > total:
        raise TrainingProblem(
            f"training with {base.name} needs more than {4 * weights / 1e9:.1f} GB of memory, this machine has {total / 1e9:.1f} GB",
            "choose a smaller base: `octod base list`, `octod base use NAME`",
        )


def _sources(
    distribution: Distribution, installed: Sequence[Distribution], repositories: Sequence[Path]
) -> list[dataset.Source]:
    """The package itself first, then everything else that is installed, then the user's repositories."""
    ordered = [distribution, *(d for d in installed if d is not distribution)]
    sources = [dataset.Source(d.library.distribution, d.files, d.licence) for d in ordered]
    return sources + _projects(repositories)


def _projects(roots: Sequence[Path]) -> list[dataset.Source]:
    """The Python files of source folders, those of environments inside them left out."""
    sources = []
    for root in roots:
        files = []
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(f for f in folders if f not in _SKIPPED)
            files += [Path(folder) / n for n in sorted(names) if n.endswith(".py")]
        sources.append(dataset.Source(f"project:{root.name}", tuple(files)))
    return sources


@contextlib.contextmanager
def _opened(
    environment: Environment,
    paths: Paths,
    index_path: Path | None,
    distribution: Distribution,
    tell: Callable[[Progress], None],
) -> Iterator[ScopeSource]:
    """The environment's index, brought up to date when it lacks the package as installed."""
    from octod.indexer.build import build
    from octod.indexer.store import Index

    path = index_path or paths.indexes / f"{environment.key}.db"
    index = Index.open(path)
    try:
        if distribution.library not in index.libraries():
            index.close()
            tell(Progress("index", 0.0))
            build(environment, path)
            index = Index.open(path)
        yield index
    finally:
        index.close()


@contextlib.contextmanager
def _workspace(paths: Paths, name: str) -> Iterator[Path]:
    """A private folder for one training at a time; removed unless the training was interrupted or killed."""
    parent = private_folder(paths.state / "training")
    work = private_folder(parent / name)
    handle = os.open(parent / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TrainingProblem(
                f"{name} is already being trained", "wait for it, or stop it first"
            ) from error
        try:
            yield work
        except KeyboardInterrupt:
            raise  # the checkpoint stays: the same command goes on from it
        except BaseException as error:
            _remove(work, parent / f"{name}.lock")
            if isinstance(error, OSError):
                raise TrainingProblem(
                    f"training stopped: {error}", "free some space or make it writable, or set OCTOD_HOME"
                ) from error
            raise
        _remove(work, parent / f"{name}.lock")
    finally:
        os.close(handle)


def _remove(work: Path, lock: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    lock.unlink(missing_ok=True)


def _conditions(
    adapter: Path, registry: Registry, base: BaseModel, distribution: Distribution, shared: Path | None
) -> list[evaluate.Condition]:
    """The controls stand beside the adapter: base with and without context, another library's adapter, a shared one."""
    wrong = [
        a
        for a in registry.adapters()
        if a.library.distribution != distribution.library.distribution
        and (a.base_weights, a.base_tokenizer) == (base.weights_hash, base.tokenizer_hash)
    ]
    conditions = [
        evaluate.Condition("adapter + index", adapter),
        evaluate.Condition("base + index"),
        evaluate.Condition("adapter", adapter, context=False),
        evaluate.Condition("base", context=False),
    ]
    if wrong:
        label = f"wrong adapter ({wrong[0].library.distribution}) + index"
        conditions.append(evaluate.Condition(label, wrong[0].folder))
    if shared is not None:
        conditions.append(evaluate.Condition("shared adapter + index", shared))
    return conditions


def _version() -> str:
    try:
        return importlib.metadata.version("octod")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
