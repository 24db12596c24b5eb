"""Syntax of newer versions of Python, written so that the version that runs octod parses it too."""

from __future__ import annotations

import re
import sys

__all__ = ["rewritten"]

_ALIAS = re.compile(r"^([ \t]*)type[ \t]+([^\W\d]\w*)[ \t]*(?:\[[^\n]*?\])?[ \t]*(?==[^=])", re.MULTILINE)
_PARAMETERS = re.compile(
    r"^([ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+\w+[ \t]*)(\[(?:[^\[\]\n]|\[[^\[\]\n]*\])*\])(?=[ \t]*[(:])", re.MULTILINE
)


def rewritten(text: str) -> str:
    """``type X = ...`` and ``def f[T](...)`` (PEP 695) in the words of Python 3.11, with the same length and lines.

    Bounds of type parameters are lost.  Text for which there is nothing to do comes back as it is.
    """
    if sys.version_info >= (3, 12):
        return text
    text = _ALIAS.sub(lambda m: m[1] + m[2] + " " * (len(m[0]) - len(m[1]) - len(m[2])), text)
    return _PARAMETERS.sub(lambda m: m[1] + " " * len(m[2]), text)
