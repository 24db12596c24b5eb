"""Notebooks: a cell reads like the end of a file that the code cells before it make up.

What is no Python in a cell (magics, shell commands) becomes a harmless statement of the same length, so that
offsets stay what they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from octod.core.answers import Answer, Edit, Fix, Fixes, Ghost, Hover, MenuItem, SignatureHelp
from octod.lsp.documents import Documents, Snapshot

__all__ = ["Notebooks", "Whole", "moved", "plain_python"]

_SCHEMES = frozenset({"vscode-notebook-cell", "vscode-interactive-input"})
# Cell magics whose cell is Python all the same (IPython's documentation, "Built-in magic commands").
_PYTHON_CELLS = frozenset({"capture", "prun", "time", "timeit", "memit", "mprun", "debug", "python", "python3"})
_CELL_MAGIC = re.compile(r"\s*%%(\w*)[^\n]*")
_LINE = re.compile(r"^(?P<indent>[ \t]*)(?P<assigned>[\w.,\[\]'\" ]+=[ \t]*)?(?P<magic>%[A-Za-z%][^\n]*|![^\n=][^\n]*|\?[^\n]*)$", re.MULTILINE)
_HELP = re.compile(r"^(?P<indent>[ \t]*)(?P<asked>[%\w.]+\?{1,2})[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Whole:
    """What the daemon reads for a document: ``text``, in which the document begins at ``shift``; ``stamp`` is the text's."""

    text: str
    shift: int
    stamp: int


class Notebooks:
    """Open notebooks: the order of their cells, which are open documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._cells: dict[str, list[str]] = {}  # notebook -> its cells in order, whatever their language
        self._stamps: dict[str, int] = {}
        self._homes: dict[str, str] = {}  # cell -> notebook

    def open(self, notebook: str, cells: Sequence[str]) -> None:
        """A notebook was opened with these cells."""
        self._put(notebook, list(cells))

    def splice(self, notebook: str, start: int, deleted: int, cells: Sequence[str]) -> None:
        """Cells were put in place of others."""
        now = list(self._cells.get(notebook, ()))
        now[start : start + deleted] = cells
        self._put(notebook, now)

    def close(self, notebook: str) -> None:
        """A notebook was closed; its cells' documents are closed by who opened them."""
        for cell in self._cells.pop(notebook, ()):
            self._homes.pop(cell, None)
        self._stamps.pop(notebook, None)

    def home(self, uri: str) -> str:
        """The notebook of a cell; the document itself when it is in none."""
        return self._homes.get(uri, uri)

    def whole(self, snapshot: Snapshot) -> Whole:
        """What stands before a cell and the cell; a document that is no cell as it is."""
        notebook = self._homes.get(snapshot.uri)
        if notebook is None:
            text = snapshot.text.content
            cell = urlsplit(snapshot.uri).scheme in _SCHEMES
            return Whole(plain_python(text) if cell else text, 0, snapshot.stamp)
        head = "".join(f"{plain_python(s.text.content)}\n" for s in self._before(notebook, snapshot))
        return Whole(head + plain_python(snapshot.text.content), len(head), self.stamp(snapshot))

    def stamp(self, snapshot: Snapshot) -> int:
        """The stamp of what ``whole`` gives now: it grows with every change of a cell before this one and of their order."""
        notebook = self._homes.get(snapshot.uri)
        if notebook is None:
            return snapshot.stamp
        return max(snapshot.stamp, self._stamps[notebook], *(s.stamp for s in self._before(notebook, snapshot)), 0)

    def after(self, uri: str) -> list[str]:
        """The cells behind a cell, whose answers a change of it makes old; none of a document that is no cell."""
        cells = self._cells[self._homes[uri]] if uri in self._homes else [uri]
        return cells[cells.index(uri) + 1 :]

    def _before(self, notebook: str, snapshot: Snapshot) -> list[Snapshot]:
        cells = self._cells[notebook]
        return [s for uri in cells[: cells.index(snapshot.uri)] if (s := self._documents.get(uri)) is not None]

    def _put(self, notebook: str, cells: list[str]) -> None:
        for cell in self._cells.get(notebook, ()):
            self._homes.pop(cell, None)
        self._cells[notebook] = cells
        self._stamps[notebook] = self._documents.tick()
        self._homes.update(dict.fromkeys(cells, notebook))


def plain_python(text: str) -> str:
    """A cell's text with everything that is no Python made harmless; every character keeps its place."""
    magic = _CELL_MAGIC.match(text)
    if magic is not None and magic[1] not in _PYTHON_CELLS:
        return re.sub(r"[^\r\n]+", lambda line: _harmless(line[0]), text)
    if "%" not in text and "!" not in text and "?" not in text:
        return text
    text = _LINE.sub(lambda m: f"{m['indent']}{m['assigned'] or ''}{_harmless(m['magic'])}", text)
    return _HELP.sub(lambda m: f"{m['indent']}{_harmless(m['asked'])}", text)


def moved(answer: Answer, whole: Whole, text: str) -> Answer:
    """An answer about the whole as one about the document at its end, whose own text is ``text``."""
    magic = _CELL_MAGIC.match(text)
    if isinstance(answer, SignatureHelp) or (not whole.shift and magic is None):
        return answer
    if isinstance(answer, Fixes):
        fixes = [Fix(f.title, tuple(Edit(e.start - whole.shift, e.end - whole.shift, e.text) for e in f.edits)) for f in answer.items]
        return Fixes(tuple(f for f in fixes if all(e.start >= 0 for e in f.edits)))
    if isinstance(answer, Hover):
        return replace(answer, start=answer.start - whole.shift, end=answer.end - whole.shift)
    if isinstance(answer, Ghost):
        return replace(answer, start=answer.start - whole.shift)
    first = 0 if magic is None else min(magic.end() + 1, len(text))
    items = tuple(_moved_item(item, whole.shift, first) for item in answer.items)
    return replace(answer, start=answer.start - whole.shift, items=items)


def _moved_item(item: MenuItem, shift: int, first: int) -> MenuItem:
    """The entry with its edit in this cell: an import that belongs into an earlier one stands at the top of it."""
    edit = item.edit
    if edit is None:
        return item
    if edit.start - shift < first or edit.start < shift:
        return replace(item, edit=Edit(first, first, f"{item.imports}\n"))
    return replace(item, edit=Edit(edit.start - shift, edit.end - shift, edit.text))


def _harmless(text: str) -> str:
    """An expression that means nothing, and a comment."""
    return "0" if len(text) == 1 else f"0#{text[2:]}"
