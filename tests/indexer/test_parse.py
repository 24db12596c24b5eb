"""Error-tolerant reading: the receiver's text, the call around, and the tree of code that does not parse yet."""

from __future__ import annotations

import ast
import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from octod.indexer import parse
from octod.indexer.parse import MARK, Cursor, parse_at, parse_text
from octod.indexer.scope import receiver_at
from resolving import SOURCE, cursor_of

CURSORS = {
    "after a dot": ("x.$0", "x", ""),
    "a partial name": ("x.ab$0", "x", "ab"),
    "no dot": ("x = ab$0", "", "ab"),
    "a chain with calls and items": ("y = a.b(1, [2])[3].c$0", "a.b(1, [2])[3]", "c"),
    "inside brackets": ("f(x, g[y.$0", "y", ""),
    "after a closed bracket": ("(a + b).$0", "(a + b)", ""),
    "over lines": ("(a\n  .b()\n  .$0", "a\n  .b()", ""),
    "a string": ("'a, b'.$0", "'a, b'", ""),
    "a string with brackets": ("f(')', x.$0", "x", ""),
    "a keyword is no receiver": ("return.$0", "", ""),
    "await belongs to the whole": ("await x.$0", "x", ""),
    "f-string": ("f'{x.$0}'", "x", ""),
    "open triple quotes": ("x = '''a.$0", "", ""),
    "comment": ("x  # y.$0", "", ""),
    "a number": ("1.$0", "", ""),
    "windows line ends": ("a = 1\r\nx.b(\r\n  y.$0", "y", ""),
}


@pytest.mark.parametrize(("marked", "receiver", "partial"), list(CURSORS.values()), ids=list(CURSORS))
def test_receiver_text(marked: str, receiver: str, partial: str) -> None:
    """The expression before the dot is found whatever is open around it."""
    cursor = cursor_of(marked)
    assert (cursor.receiver, cursor.partial) == (receiver, partial)
    assert cursor.text[cursor.receiver_start :].startswith(receiver)


TREES = {
    "open brackets": ("x = f(a, b=[c.$0", f"x = f(a, b=[c.{MARK}])"),
    "a name called match": ("match = re.$0", f"match = re.{MARK}"),
    "a match statement": ("match x.$0", f"match x.{MARK}:\n    case _:\n        pass"),
    "ternary": ("x = a if b.$0", f"x = a if b.{MARK} else 0"),
    "dictionary": ("x = {'a': 1, b.$0", f"x = {{'a': 1, b.{MARK}: 0}}"),
    "loop": ("for x in a.$0", f"for x in a.{MARK}:\n    pass"),
    "elif": ("if a:\n    pass\nelif b.$0", f"if a:\n    pass\nelif b.{MARK}:\n    pass"),
    "except": ("try:\n    pass\nexcept a.$0", f"try:\n    pass\nexcept a.{MARK}:\n    pass"),
    "open tries": (
        "try:\n  with a:\n    try:\n      b.$0",
        f"try:\n    with a:\n        try:\n            b.{MARK}\n        finally:\n            pass\nfinally:\n    pass",
    ),
    "with a body below": ("for x in a.$0\n    y = x\n", f"for x in a.{MARK}:\n    y = x"),
    "rest of the line kept": ("[x.$0 for x in y]", f"[x.{MARK} for x in y]"),
    "text below kept": ("def f():\n    a.$0\n    b\n", f"def f():\n    a.{MARK}\n    b"),
}


@pytest.mark.parametrize(("marked", "expected"), list(TREES.values()), ids=list(TREES))
def test_statement_at_the_cursor_is_completed(marked: str, expected: str) -> None:
    """Half a statement reads like a finished one with the cursor's mark in it."""
    tree = cursor_of(marked).tree
    assert ast.unparse(ast.Module(tree.blocks[tree.current].parsed.body, [])) == expected


CALLS = {
    "first argument": ("f($0", ("f", 0, "", (), 0)),
    "second": ("f(a, $0", ("f", 1, "", (), 1)),
    "keyword": ("f(a, b=1, c=$0", ("f", 2, "c", ("b",), 1)),
    "keywords behind the cursor": ("f(a, $0, d=2)", ("f", 1, "", ("d",), 1)),
    "inner brackets": ("f(a, [1, $0", ("f", 1, "", (), 1)),
    "method": ("x.y(1)[0].z($0", ("x.y(1)[0].z", 0, "", (), 0)),
    "none in a definition": ("def f(a, $0", None),
    "none in brackets of its own": ("x = (a, $0", None),
}


@pytest.mark.parametrize(("marked", "expected"), list(CALLS.values()), ids=list(CALLS))
def test_enclosing_call(marked: str, expected: tuple[object, ...] | None) -> None:
    """The call around the cursor, with the place of the cursor in it."""
    call = cursor_of(marked).call
    found = (call.function, call.argument, call.keyword, call.given, call.positional) if call else None
    assert found == expected


def test_fault_stays_in_its_block() -> None:
    """A broken function loses nothing of the ones around it."""
    tree = parse_text("import a\n\ndef f(:\n  x\n\ndef g():\n  pass\n")
    names = [type(n).__name__ for b in tree.blocks for n in b.parsed.body]
    assert names[0] == "Import"
    assert names[-1] == "FunctionDef"


def test_unchanged_blocks_are_not_parsed_again() -> None:
    """A keystroke costs the block it is in."""
    one = parse_at("import a\n\ndef f():\n  a.", 22)
    two = parse_at("import a\n\ndef f():\n  a.b", 23)
    assert one.tree.blocks[0].parsed is two.tree.blocks[0].parsed


def _code(cursor: Cursor) -> list[str]:
    return [ast.unparse(statement) for block in cursor.tree.blocks for statement in block.parsed.body]


@pytest.mark.parametrize("marked", [marked for marked, _ in TREES.values()] + ["def f(:\n  x = (\n  y.$0"])
def test_trees_that_had_to_go_are_made_again(marked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After many other files a text reads as before, and its cursor that somebody kept can still be read."""
    monkeypatch.setattr(parse._trees, "most", 200)
    before = cursor_of(marked)
    expected = _code(before)
    for number in range(50):
        other = f"value = [{number}]\nvalue."
        receiver_at(SOURCE, parse_at(other, len(other)))
    assert not any(block.parsed.grown() for block in before.tree.blocks)
    after = cursor_of(marked)
    assert after is not before and expected == _code(after)
    assert len(before.tree.blocks) == len(after.tree.blocks) and _code(before) is not None


def test_files_go_without_the_garbage_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read of earlier files is bounded in characters, and nothing of it is left in circles."""
    monkeypatch.setattr(parse._trees, "most", 5_000)
    monkeypatch.setattr(parse._cursors, "most", 100_000)
    gc.collect()
    gc.disable()
    try:
        for number in range(100):
            text = f"class C{number}:\n  def f(self, a): return [b for b in a]\n\ndef g{number}():\n  it = C{number}()\n  it."
            assert receiver_at(SOURCE, parse_at(text, len(text)), "here").types
        grown = sum(len(parsed.text) for parsed in parse._memory.values() if parsed.grown())
        assert parse._trees.weight <= 5_000 and grown <= 5_200  # what went last goes before the next question
        assert gc.collect() < 100
    finally:
        gc.enable()


PIECES = st.sampled_from([
    "x", ".", "(", ")", "[", "]", "{", "}", "'", "\"", "'''", "\"\"\"", "f'", "#", "\n", "\r\n",
    "\\", ",", "=", ":", ";", "@", "def", "class", "try:", "except", "if", "for", "lambda",
    "import", "from", "a", "b", "\t", "\0", "é", "𝄞", "\x0c",
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=30), st.integers(0, 60))
def test_any_text_gives_a_cursor(pieces: list[str], offset: int) -> None:
    """Whatever is typed, reading it neither raises nor loses text."""
    text = " ".join(pieces)
    cursor = parse_at(text, offset)
    assert cursor.offset == min(offset, len(text))
    starts = [b.start for b in cursor.tree.blocks]
    assert starts == sorted(starts)


def test_hostile_nesting_is_passed_over() -> None:
    """Deep nesting and huge lines end in an empty tree, not in an exception."""
    for text in ("(" * 20_000, "a" + ".b" * 20_000, "x = " + "[" * 500 + "]" * 500, "-" * 50_000):
        assert parse_at(text, len(text)).offset == len(text)
