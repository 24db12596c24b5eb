"""``octod show QUALIFIED.NAME``: everything octod knows of one name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from octod.cli.index import fresh_index
from octod.cli.output import env_option, json_option, show_json, show_table
from octod.core.errors import NotInstalled

if TYPE_CHECKING:
    from octod.core.symbols import LibraryId, Member, Parameter, Symbol
    from octod.indexer.lookup import Target
    from octod.indexer.store import Index

__all__ = ["show"]


@click.command()
@click.argument("name", metavar="QUALIFIED.NAME")
@env_option
@json_option
def show(name: str, env: str | None, as_json: bool) -> None:
    """Show what is known of a module, class, function or attribute.

    Its signature and documentation, its library and version, where it is really defined, and the members of a module or
    a class, inherited ones included.
    """
    from octod.indexer import lookup

    with fresh_index(env) as index:
        target = lookup.resolve(index, name)
        if target is None:
            raise _unknown(index, name)
        members = lookup.members(index, target.qualified, False) if target.kind in ("module", "class") else ()
        library = _library(index, target)
    facts = _facts(name, target, library)
    if as_json:
        show_json({**facts, "members": [_member(member) for member in members if member.symbol.public]})
    else:
        _print(facts, [member for member in members if member.symbol.public])


def _unknown(index: Index, name: str) -> NotInstalled:
    """The error for a name that the index lacks, with the nearest names it has."""
    near = [hit.qualified for hit in index.search(name.rpartition(".")[2], 3)]
    hint = f"did you mean {' or '.join(near)}?" if near else "`octod search WORD` finds names"
    return NotInstalled(f"no installed library has {name!r}", hint)


def _library(index: Index, target: Target) -> LibraryId | None:
    """The library that defines the target: of its own scope, else of the nearest scope around it."""
    if target.scope is not None:
        return target.scope.library
    above = target.qualified
    while "." in above:
        above = above.rpartition(".")[0]
        if (scope := index.scope(above)) is not None:
            return scope.library
    return None


def _facts(name: str, target: Target, library: LibraryId | None) -> dict[str, Any]:
    """What is known of a target, as JSON."""
    symbol, scope = target.symbol, target.scope
    return {
        "name": name,
        "qualified": target.qualified,
        "kind": target.kind,
        "signature": signature(symbol),
        "overloads": [
            signature_text(symbol.name, parameters, returns) for parameters, returns in (symbol.overloads if symbol else ())
        ],
        "deprecated": (symbol.deprecated if symbol else None) or (scope.deprecated if scope else None),
        "library": library.distribution if library else "",
        "version": library.version if library else "",
        "file": scope.file if scope else "",
        "line": symbol.line if symbol else 0,
        "doc": (symbol.doc if symbol else "") or (scope.doc if scope else ""),
    }


def signature(symbol: Symbol | None) -> str:
    """``name(parameters) -> returns``, ``name: type``, or the name alone."""
    if symbol is None:
        return ""
    if symbol.parameters is None:
        return f"{symbol.name}: {symbol.returns}" if symbol.returns else symbol.name
    return signature_text(symbol.name, symbol.parameters, symbol.returns)


def signature_text(name: str, parameters: Sequence[Parameter], returns: str | None) -> str:
    """A signature in Python's notation, with the markers ``/`` and ``*`` where they are needed."""
    parts: list[str] = []
    before = ""
    for parameter in parameters:
        if before == "positional" and parameter.kind != "positional":
            parts.append("/")
        if parameter.kind == "keyword" and before not in ("keyword", "vararg"):
            parts.append("*")
        annotation = f": {parameter.annotation}" if parameter.annotation else ""
        star = {"vararg": "*", "kwarg": "**"}.get(parameter.kind, "")
        space = " " if annotation else ""
        default = f"{space}={space}{parameter.default}" if parameter.default is not None else ""
        parts.append(f"{star}{parameter.name}{annotation}{default}")
        before = parameter.kind
    if before == "positional":
        parts.append("/")
    return f"{name}({', '.join(parts)})" + (f" -> {returns}" if returns else "")


def _member(member: Member) -> dict[str, Any]:
    symbol = member.symbol
    return {
        "name": symbol.name,
        "kind": symbol.kind,
        "signature": signature(symbol),
        "owner": member.owner,
        "deprecated": symbol.deprecated,
        "summary": symbol.doc.strip().partition("\n")[0],
    }


def _print(facts: dict[str, Any], members: Sequence[Member]) -> None:
    """The facts as a person reads them."""
    click.secho(facts["signature"] or facts["qualified"], bold=True)
    for overload in facts["overloads"]:
        click.secho(overload, bold=True)
    if facts["deprecated"] is not None:
        click.echo(f"deprecated: {facts['deprecated'] or 'yes'}")
    defined = f", defined as {facts['qualified']}" if facts["qualified"] != facts["name"] else ""
    click.echo(f"{facts['kind']} of {facts['library']} {facts['version']}{defined}")
    if facts["file"]:
        click.echo(f"{facts['file']}:{facts['line']}" if facts["line"] else facts["file"])
    if facts["doc"]:
        click.echo(f"\n{facts['doc'].strip()}")
    if members:
        click.echo()
        rows = [(m.symbol.name, m.symbol.kind, signature(m.symbol), m.symbol.doc.strip().partition("\n")[0]) for m in members]
        show_table(("member", "kind", "signature", "what it says"), [(n, k, s if s != n else "", d) for n, k, s, d in rows])
