"""A signature as the model reads it: no annotations, long defaults as ``...``, the owner's last name in front.

``Client.get(url, *, params=None)`` for a method, ``pandas.read_csv(path, sep=',')`` for a function or a class: the same
form as in the base model's training.
"""

from __future__ import annotations

from collections.abc import Sequence

from octod.core.symbols import Member, Parameter

__all__ = ["render_parameters", "render_signature", "required_arguments"]

LONGEST_DEFAULT = 16  # characters, as in the base model's corpus


def render_signature(member: Member, *, instance: bool) -> str:
    """The line for a member of a class (``instance`` or reached through the class) or of a module."""
    owner = member.owner.rsplit(".", 1)[-1] if instance else member.owner.split(".", 1)[0]
    name = f"{owner}.{member.symbol.name}"
    parameters = member.symbol.parameters
    return name if parameters is None else f"{name}({render_parameters(parameters)})"


def render_parameters(parameters: Sequence[Parameter]) -> str:
    """``url, /, *, params=None``: markers where the kinds change, defaults shortened."""
    parts: list[str] = []
    star = slash = False
    for parameter in parameters:
        if slash and parameter.kind != "positional":
            parts.append("/")
            slash = False
        if parameter.kind == "positional":
            slash = True
        elif parameter.kind == "vararg":
            star = True
        elif parameter.kind == "keyword" and not star:
            parts.append("*")
            star = True
        default = parameter.default
        if default is not None and len(default) > LONGEST_DEFAULT:
            default = "..."
        parts.append(str(Parameter(parameter.name, parameter.kind, default)))
    return ", ".join([*parts, "/"] if slash else parts)


def required_arguments(parameters: Sequence[Parameter]) -> str:
    """An argument list that binds: each required parameter by a variable of its own name."""
    required = [p for p in parameters if p.default is None and p.kind not in ("vararg", "kwarg")]
    return ", ".join(f"{p.name}={p.name}" if p.kind == "keyword" else p.name for p in required)
