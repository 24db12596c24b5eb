"""A source of scopes over the real typeshed, read module by module as asked for, and inline modules of a made-up library."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from octod.core.symbols import LibraryId, Scope
from octod.indexer.environment import Environment, distributions, standard_library
from octod.indexer.extract import extract_module, merge_stub

__all__ = ["Installed", "Standard"]

_STDLIB = LibraryId("stdlib", "3.11", "")


@cache
def _files() -> dict[str, str]:
    library = standard_library()
    return {module: str(file) for file in library.files if (module := library.module(file))}


@cache
def _standard(module: str) -> dict[str, Scope]:
    file = _files()[module]
    with open(file, encoding="utf-8") as opened:
        scopes, problems = extract_module(
            opened.read(), module=module, file=file, library=_STDLIB, is_package=file.endswith("__init__.pyi"), is_stub=True
        )  # fmt: skip
    assert problems == []
    return {scope.qualified: scope for scope in scopes}


class Standard:
    """A ScopeSource: typeshed below, inline modules (``name.pyi`` for a stub) above."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._scopes: dict[str, Scope] = {}
        self._modules = {name.removesuffix(".pyi") for name in modules}
        packages = {name.rpartition(".")[0] for name in self._modules}
        for written, text in modules.items():
            name = written.removesuffix(".pyi")
            scopes, problems = extract_module(
                text, module=name, file=written if written != name else f"{name}.py",
                library=LibraryId(name.partition(".")[0], "1.0", ""), is_package=name in packages, is_stub=written != name,
            )  # fmt: skip
            assert problems == []
            self._scopes |= {scope.qualified: scope for scope in scopes}

    def scope(self, qualified: str) -> Scope | None:
        """The module or class of that name."""
        if (found := self._scopes.get(qualified)) is not None:
            return found
        module = qualified
        while module and module not in _files():
            module = module.rpartition(".")[0]
        return _standard(module).get(qualified) if module else None

    def submodules(self, qualified: str) -> tuple[str, ...]:
        """The modules directly in a package."""
        return tuple(sorted({m for m in (*self._modules, *_files()) if m.rpartition(".")[0] == qualified}))

    def import_names(self) -> Mapping[str, tuple[LibraryId, ...]]:
        """Which distributions provide a top-level import name."""
        found = {m: (_STDLIB,) for m in _files() if "." not in m}
        return found | {m: (LibraryId(m, "1.0", ""),) for m in self._modules if "." not in m}


class Installed(Standard):
    """Typeshed and the installed packages of the environment that runs the tests, read module by module."""

    def __init__(self, environment: Environment) -> None:
        super().__init__({})
        self._places: dict[str, list[Path]] = {}
        for distribution in distributions(environment)[0]:
            for file in distribution.files:
                if file.suffix in (".py", ".pyi") and (name := distribution.module(file)):
                    self._places.setdefault(name, []).append(file)
        self._modules |= set(self._places)

    def scope(self, qualified: str) -> Scope | None:
        """The module or class of that name."""
        module = qualified
        while module and module not in self._places:
            module = module.rpartition(".")[0]
        for name in (module, module.rpartition(".")[0]):
            if name in self._places and name not in self._scopes:
                self._read(name)
        return self._scopes.get(qualified) or super().scope(qualified)

    def _read(self, module: str) -> None:
        read = []
        for file in sorted(self._places[module], reverse=True):  # the stub before the source
            scopes, _ = extract_module(
                file.read_text("utf-8", "replace"), module=module, file=str(file), library=LibraryId(module.partition(".")[0], "", ""),
                is_package=file.stem == "__init__", is_stub=file.suffix == ".pyi",
            )  # fmt: skip
            read += [scopes] if scopes else []
        merged = merge_stub(read[0], read[1]) if len(read) == 2 else read[0] if read else []
        self._scopes |= {scope.qualified: scope for scope in merged}
