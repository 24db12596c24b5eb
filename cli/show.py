"""``octod show QUALIFIED.NAME``: everything octod knows of one name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from octod.cli.index import LONGEST_SUMMARY, fresh_index, summary
from octod.cli.output import env_option, json_option, show_json, show_table
from octod.core.errors import NotInstalled

if TYPE_CHECKING:
    from octod.core.symbols import Member, Parameter, Scope, Symbol
    from octod.indexer.lookup import Target
    from octod.indexer.store import Index

__all__ = ["show", "signature", "signature_text"]

WIDEST = 100  # characters of a signature on one line; longer ones have a line for each parameter


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
    from octod.indexer.documentation import doc_of_target, documented
    from octod.indexer.members import members

    with fresh_index(env) as index:
        target = lookup.resolve(index, name)
        if target is None:
            raise _unknown(index, name)
        listed = (
            members(index, target.qualified, target.kind == "class")
            if target.kind in ("module", "class")
            else ()
        )
        scope = target.scope or _scope_around(index, target.qualified)
        shown = [documented(index, member) for member in listed if member.symbol.public]
        facts = _facts(name, target, scope, doc_of_target(index, target))
    if as_json:
        show_json({**facts, "members": [_member(member) for member in shown]})
    else:
        _print(facts, shown)


def _unknown(index: Index, name: str) -> NotInstalled:
    """The error for a name that the index lacks, with the nearest names it has."""
    from difflib import get_close_matches

    from octod.indexer.members import members
    from octod.indexer.search import search

    above, _, last = name.rpartition(".")
    names = {member.symbol.name for member in members(index, above, True)} if above else ()
    near = [f"{above}.{found}" for found in get_close_matches(last, names, n=3)]
    near = near or [hit.qualified for hit in search(index, last, 3)]
    hint = f"did you mean {' or '.join(near)}?" if near else "`octod search WORD` finds names"
    return NotInstalled(f"no installed library has {name!r}", hint)


def _scope_around(index: Index, qualified: str) -> Scope | None:
    """The nearest module or class that a name lies in."""
    while "." in qualified:
        qualified = qualified.rpartition(".")[0]
        if (scope := index.scope(qualified)) is not None:
            return scope
    return None


def _facts(name: str, target: Target, scope: Scope | None, doc: str) -> dict[str, Any]:
    """What is known of a target, as JSON; ``scope`` is the target's own, else the one it lies in."""
    symbol, own = target.symbol, target.scope
    return {
        "name": name,
        "qualified": target.qualified,
        "kind": target.kind,
        "signature": signature(symbol),
        "overloads": [signature_text(symbol.name, *overload) for overload in symbol.overloads]
        if symbol
        else [],
        "deprecated": (symbol.deprecated if symbol else None) or (own.deprecated if own else None),
        "library": scope.library.distribution if scope else "",
        "version": scope.library.version if scope else "",
        "file": scope.file if scope else "",
        "line": symbol.line if symbol else 0,
        "doc": doc,
    }


def signature(symbol: Symbol | None) -> str:
    """``name(parameters) -> returns``, ``name: type``, or the name alone."""
    if symbol is None:
        return ""
    from octod.indexer.reading import told

    if symbol.parameters is None:
        return f"{symbol.name}: {returns}" if (returns := told(symbol.returns)) else symbol.name
    return signature_text(symbol.name, symbol.parameters, symbol.returns)


def signature_text(name: str, parameters: Sequence[Parameter], returns: str | None) -> str:
    """A signature in Python's notation, with the markers ``/`` and ``*``; long ones on several lines."""
    from octod.indexer.reading import told

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
    end = f") -> {shown}" if (shown := told(returns)) else ")"
    line = f"{name}({', '.join(parts)}{end}"
    if len(line) <= WIDEST or not parts:
        return line
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), end])


def _member(member: Member) -> dict[str, Any]:
    symbol = member.symbol
    return {
        "name": symbol.name,
        "kind": symbol.kind,
        "signature": " ".join(signature(symbol).split()),
        "owner": member.owner,
        "deprecated": symbol.deprecated,
        "summary": summary(symbol.doc),
    }


def _print(facts: dict[str, Any], members: Sequence[Member]) -> None:
    """The facts as a person reads them."""
    for line in [facts["signature"] or facts["qualified"], *facts["overloads"]]:
        click.secho(line, bold=True)
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
        rows = [(m.symbol.name, m.symbol.kind, _short(m.symbol), summary(m.symbol.doc)) for m in members]
        show_table(("member", "kind", "signature", "what it says"), rows)


def _short(symbol: Symbol) -> str:
    """A signature for a row of a table: names and defaults, no annotations."""
    if symbol.parameters is None:
        return signature(symbol).partition(": ")[2]
    bare = [replace(parameter, annotation=None) for parameter in symbol.parameters]
    line = " ".join(signature_text("", bare, None).split()).replace("( ", "(").replace(", )", ")")
    return line if len(line) <= LONGEST_SUMMARY else line[: LONGEST_SUMMARY - 4].rstrip() + "...)"
