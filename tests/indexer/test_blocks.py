"""Cutting a file into blocks."""

from __future__ import annotations

import random

from octod.indexer import blocks

PIECES = [
    "def f():\n    return 1\n", "x = 1\n", "@deco\n", "class A:\n    y = '''\nz\n'''\n", '"""\n', "'''", "(", ")\n", "# '''\n",
    "else:\n", "\n", "    ", "if a:\n    pass\nelse:\n    pass\n", "\\\n", "s = 'a\n",
]  # fmt: skip


def test_an_edit_gives_the_blocks_that_reading_all_of_it_gives() -> None:
    """What is taken over from the text before an edit is what would have been found."""
    chance = random.Random(5)
    for _ in range(150):
        text = "".join(chance.choice(PIECES) for _ in range(chance.randrange(5, 90)))
        blocks._recent.clear()
        blocks.spans_of(text)
        for _ in range(6):
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice([*PIECES, ""]) + text[at + chance.randrange(12) :]
            taken_over = blocks.spans_of(text)
            kept = list(blocks._recent)
            blocks._recent.clear()
            whole = blocks.spans_of(text)
            blocks._recent.clear()
            blocks._recent.extend(kept)
            assert taken_over == whole, text
