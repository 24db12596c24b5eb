"""The tokens of the logical line before a cursor: its receiver, its open brackets, the call around it."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["EnclosingCall", "Scan", "scan"]

_TOKEN = re.compile(
    r'''
    (?P<string>(?i:[rbuft]{0,3})(?:
          """[^"\\]*+(?:(?:\\[\s\S]|"(?!""))[^"\\]*+)*+"""
        | \'\'\'[^'\\]*+(?:(?:\\[\s\S]|'(?!''))[^'\\]*+)*+\'\'\'
        | (?!"""|\'\'\')"[^"\\\n]*+(?:\\[\s\S][^"\\\n]*+)*+"
        | (?!"""|\'\'\')'[^'\\\n]*+(?:\\[\s\S][^'\\\n]*+)*+'))
  | (?P<quote>(?i:[rbuft]{0,3})(?:"""|\'\'\'|"|'))
  | (?P<comment>\#[^\n]*+)
  | (?P<name>[^\W\d]\w*+)
  | (?P<number>\d\w*+(?:\.\d\w*+)?+)
  | (?P<newline>\n)
  | (?P<space>[ \t\f]++|\\\n)
  | (?P<open>[(\[{])
  | (?P<close>[)\]}])
  | (?P<op>:=|==|!=|<=|>=|->|[-+*/%&|^@<>]=|[-+*/%&|^@<>.,:;=~!])
  | (?P<other>.)
    ''',
    re.VERBOSE,
)
# A line that starts so cannot be inside a bracket: an earlier bracket was left open.
_STARTERS = frozenset({
    "def", "class", "return", "import", "while", "with", "try", "raise", "assert", "del", "pass", "break",
    "continue", "global", "nonlocal", "elif", "except", "finally",
})  # fmt: skip
_KEYWORDS = frozenset({
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else",
    "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not",
    "or", "pass", "raise", "return", "try", "while", "with", "yield",
})  # fmt: skip

Token = tuple[str, str, int, int]  # kind, text, start, end


@dataclass(frozen=True, slots=True)
class EnclosingCall:
    """A call whose brackets are around the cursor.

    ``function`` is the source of what is called, at ``start``; ``open`` is just after the bracket.  The cursor is in
    the argument number ``argument``, or in the value of ``keyword`` when that is not empty; ``given`` names the keywords that
    stand elsewhere in the call, ``positional`` counts the positional arguments before the cursor's one.
    """

    function: str
    start: int
    open: int
    argument: int
    keyword: str
    given: tuple[str, ...]
    positional: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What the tokens before the cursor say; offsets are code points, empty spans mean absent."""

    statement: int
    head: str
    colon: bool
    opened: tuple[str, ...]
    inside: str
    name_start: int
    dot: int
    receiver_start: int
    receiver_end: int
    importing: str | None
    call: EnclosingCall | None


def scan(text: str, start: int, offset: int) -> Scan:
    """Read ``text`` from ``start``, where a statement begins, up to ``offset``."""
    tokens: list[Token] = []
    stack: list[int] = []  # numbers of the open brackets' tokens
    matching: dict[int, int] = {}
    quotes: list[str] = []
    fresh, inside, position = True, "", start
    while position < offset:
        found = _TOKEN.match(text, position, offset)
        if found is None:  # cannot be: ``other`` takes any character
            break
        kind, value, position = found.lastgroup or "other", found[0], found.end()
        if kind == "space":
            continue
        if kind == "comment":
            inside = "comment" if position == offset else ""
            continue
        if kind == "newline":
            if not stack:
                tokens.clear()
                matching.clear()
            fresh = True
            continue
        if kind == "quote":
            hole = _hole(text, position, offset) if "f" in value.lower().rstrip("\"'") else -1
            if hole < 0:
                if len(value.lstrip("rbuftRBUFT")) == 1 and "\n" in text[position:offset]:
                    continue  # a stray quote further up: only its own line is lost
                inside = "string"
                break
            quotes.append(value.lstrip("rbuftRBUFT"))
            tokens.append(("fstring", value, found.start(), position))
            stack.append(len(tokens) - 1)
            tokens.append(("open", "{", hole, hole + 1))
            stack.append(len(tokens) - 1)
            position = hole + 1
            continue
        if fresh and stack and kind == "name" and value in _STARTERS and not quotes:
            tokens.clear()
            stack.clear()
            matching.clear()
        fresh = False
        if kind == "op" and value == ";" and not stack:
            tokens.clear()
            matching.clear()
            continue
        tokens.append((kind, value, found.start(), position))
        if kind == "open":
            stack.append(len(tokens) - 1)
        elif kind == "close" and stack:
            matching[len(tokens) - 1] = stack.pop()
    return _read(text, offset, tokens, stack, matching, inside)


def _hole(text: str, position: int, offset: int) -> int:
    """Offset of the ``{`` of an f-string that is open at ``offset``, or -1."""
    depth, hole = 0, -1
    while position < offset:
        char = text[position]
        if char == "{" and depth == 0 and text.startswith("{", position + 1):
            position += 2
            continue
        if char == "{":
            hole = position if depth == 0 else hole
            depth += 1
        elif char == "}" and depth:
            depth -= 1
        position += 1
    return hole if depth else -1


def _read(text: str, offset: int, tokens: list[Token], stack: list[int], matching: dict[int, int], inside: str) -> Scan:
    statement = tokens[0][2] if tokens else offset
    head = tokens[0][1] if tokens else ""
    if head == "async" and len(tokens) > 1:
        head = tokens[1][1]
    name_start = offset
    last = len(tokens) - 1
    if not inside and last >= 0 and tokens[last][0] == "name" and tokens[last][3] == offset:
        name_start = tokens[last][2]
        last -= 1
    if not tokens or (len(tokens) == 1 and name_start < offset):
        statement, head = name_start, ""
    dot, receiver_start, receiver_end = name_start, name_start, name_start
    if not inside and last > 0 and tokens[last][1] == "." and tokens[last][0] == "op":
        first = _postfix_start(tokens, matching, last - 1)
        if first is not None:
            dot = tokens[last][3]
            receiver_start, receiver_end = tokens[first][2], tokens[last - 1][3]
            if text[dot:name_start].strip(" \t\n\\"):  # a comment between the dot and the name
                name_start = offset
    importing = None if inside else _importing(tokens[: last + 1], head)
    if importing is not None:
        receiver_start = receiver_end = dot = name_start
    return Scan(
        statement=statement,
        head=head,
        colon=_has_colon(tokens, stack, matching),
        opened=tuple(tokens[i][1] if tokens[i][0] == "open" else tokens[i][1].lstrip("rbuftRBUFT") for i in stack),
        inside=inside,
        name_start=name_start,
        dot=dot,
        receiver_start=receiver_start,
        receiver_end=receiver_end,
        importing=importing,
        call=None if inside else _enclosing(text, offset, tokens[: last + 1], stack, matching),
    )


def _postfix_start(tokens: list[Token], matching: dict[int, int], last: int) -> int | None:
    """Number of the first token of the attribute/call/subscript chain that ends at token ``last``, or None."""
    at = last
    while at >= 0:
        kind, value, _, _ = tokens[at]
        if kind == "close":
            if at not in matching:
                return None
            at = matching[at]
            before = tokens[at - 1] if at else None
            if tokens[at][1] != "{" and before and (before[0] in ("close", "string") or _is_name(before)):
                at -= 1
                continue
            return at
        if kind == "name":
            if value in _KEYWORDS:
                return None
            if at >= 2 and tokens[at - 1][1] == ".":
                at -= 2
                continue
            return at
        if kind == "string":
            while at and tokens[at - 1][0] == "string":
                at -= 1
            return at
        return None
    return None


def _is_name(token: Token) -> bool:
    return token[0] == "name" and token[1] not in _KEYWORDS


def _has_colon(tokens: list[Token], stack: list[int], matching: dict[int, int]) -> bool:
    """Whether the header's own colon stands in the line (outside brackets, not a lambda's)."""
    if stack:
        return False
    depth, lambdas = 0, 0
    for kind, value, _, _ in tokens:
        depth += (kind == "open") - (kind == "close")
        if depth == 0 and value == "lambda" and kind == "name":
            lambdas += 1
        elif depth == 0 and value == ":" and kind == "op":
            if not lambdas:
                return True
            lambdas -= 1
    return False


def _importing(tokens: list[Token], head: str) -> str | None:
    """The module whose names are wanted, when the line is an import statement."""
    if not tokens or head not in ("import", "from") or tokens[0][1] != head:
        return None
    values = [t[1] for t in tokens[1:]]
    if head == "from":
        module = values[: values.index("import")] if "import" in values else values
        if "import" not in values and module and module[-1] == "." and any(v != "." for v in module):
            module = module[:-1]
        return "".join(module)
    if values and values[-1] not in (",", "."):
        return None
    last = len(values) - values[::-1].index(",") if "," in values else 0
    return "".join(values[last:]).rstrip(".")


def _enclosing(
    text: str, offset: int, tokens: list[Token], stack: list[int], matching: dict[int, int]
) -> EnclosingCall | None:
    for at in reversed(stack):
        if tokens[at][1] != "(" or at == 0:
            continue
        before = tokens[at - 1]
        if not (before[0] == "close" or _is_name(before)):
            continue
        if at >= 2 and tokens[at - 2][1] in ("def", "class"):
            return None
        first = _postfix_start(tokens, matching, at - 1)
        if first is None:
            continue
        given, positional, keyword, argument = _arguments(tokens, at)
        later = _later_keywords(text, offset) if at == stack[-1] else ()
        return EnclosingCall(
            function=text[tokens[first][2] : before[3]],
            start=tokens[first][2],
            open=tokens[at][3],
            argument=argument,
            keyword=keyword,
            given=(*given, *later),
            positional=positional,
        )
    return None


def _arguments(tokens: list[Token], at: int) -> tuple[tuple[str, ...], int, str, int]:
    """(keywords given, positional arguments given, keyword at the cursor, argument number at the cursor)."""
    given: list[str] = []
    positional, keyword, argument, depth, first = 0, "", 0, 0, at + 1
    for i in range(at + 1, len(tokens)):
        kind, value, _, _ = tokens[i]
        depth += (kind in ("open", "fstring")) - (kind == "close")
        if depth == 0 and value == "=" and i == first + 1 and _is_name(tokens[first]):
            keyword = tokens[first][1]
        if depth == 0 and value == "," and kind == "op":
            if keyword:
                given.append(keyword)
            else:
                positional += 1
            keyword, argument, first = "", argument + 1, i + 1
    return tuple(given), positional, keyword, argument


_LATER = 2000  # characters after the cursor that may still belong to the call


def _later_keywords(text: str, offset: int) -> tuple[str, ...]:
    """Names of keywords that stand behind the cursor in the same, closed call."""
    found: list[str] = []
    depth, position, expecting, name = 0, offset, False, ""
    end = min(len(text), offset + _LATER)
    while position < end:
        match = _TOKEN.match(text, position, end)
        if match is None:
            break
        kind, value, position = match.lastgroup, match[0], match.end()
        if kind in ("space", "newline", "comment"):
            expecting = expecting or (kind == "newline" and depth == 0 and not name)  # an argument on a line of its own
            continue
        if kind == "close":
            if depth == 0:
                return tuple(found)
            depth -= 1
        elif kind == "open":
            depth += 1
        if depth == 0 and value == "=" and name:
            found.append(name)
        name = value if depth == 0 and kind == "name" and expecting else ""
        expecting = depth == 0 and value == ","
    return ()
