"""What patterns of ``match`` say: the expressions that their names stand for, and the classes they test for."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from octod.indexer.frames import STARRED, BindingKind, MatchedPart

__all__ = ["Captured", "captured", "tested"]

Captured = tuple[str, BindingKind, ast.expr, tuple[int, ...]]  # name, kind, what it is made from, path


def captured(pattern: ast.pattern, subject: ast.expr, path: tuple[int, ...] = ()) -> Iterator[Captured]:
    """The names that a pattern binds when ``subject`` (the part of it that ``path`` leads to) is matched."""
    if isinstance(pattern, ast.MatchAs):
        if pattern.pattern is not None:
            yield from captured(pattern.pattern, subject, path)
        if pattern.name:
            classes = tested(pattern.pattern) if pattern.pattern is not None else None
            if classes is not None:
                yield pattern.name, "narrow", classes, ()
            else:
                yield pattern.name, "assign", subject, path
    elif isinstance(pattern, ast.MatchStar):
        if pattern.name:
            yield pattern.name, "assign", subject, path
    elif isinstance(pattern, ast.MatchClass):
        for number, part in enumerate(pattern.patterns):
            yield from captured(part, MatchedPart(pattern.cls, number))
        for name, part in zip(pattern.kwd_attrs, pattern.kwd_patterns, strict=True):
            yield from captured(part, ast.Attribute(MatchedPart(pattern.cls), name, ast.Load()))
    elif isinstance(pattern, ast.MatchSequence):
        star = next((n for n, p in enumerate(pattern.patterns) if isinstance(p, ast.MatchStar)), len(pattern.patterns))
        for number, part in enumerate(pattern.patterns):
            at = STARRED + number if number == star else number if number < star else number - len(pattern.patterns)
            yield from captured(part, subject, (*path, at))
    elif isinstance(pattern, ast.MatchMapping):
        for key, part in zip(pattern.keys, pattern.patterns, strict=True):
            if not path:
                yield from captured(part, ast.Subscript(subject, key, ast.Load()))
        if pattern.rest:
            yield pattern.rest, "assign", ast.Dict([], []), ()
    elif isinstance(pattern, ast.MatchOr):
        for part in pattern.patterns:
            yield from captured(part, subject, path)


def tested(pattern: ast.pattern | None) -> ast.expr | None:
    """The class that a pattern tests for, or a tuple of them; None when it tests for none."""
    if isinstance(pattern, ast.MatchClass):
        return pattern.cls
    if isinstance(pattern, ast.MatchAs):
        return tested(pattern.pattern) if pattern.pattern is not None else None
    if isinstance(pattern, ast.MatchOr):
        found = [tested(p) for p in pattern.patterns]
        return ast.Tuple([f for f in found if f is not None], ast.Load()) if None not in found else None
    return None
