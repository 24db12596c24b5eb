"""Random cursors: every request, on really installed files, at places nobody chose, in text that is cut, garbled or unclosed.

    python bench/fuzz.py --env ENV [--files FOLDER] --seconds 300 [--seed N] [--json out.json]

Speaks to `octod lsp` as an editor does, incremental edits and notebooks included.  Three things are faults: an answer that is an
error or has the wrong form, an answer later than the language server promises an editor, a traceback in the daemon's log or
on the language server's standard error.  Each is printed with what is needed to see it again; exit status 1 when there is any.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lsp_eval

Row = dict[str, Any]

# Seconds: what lsp/server.py allows each question, and what a busy machine may add.
DEADLINES = {
    "textDocument/completion": 1.0,
    "textDocument/inlineCompletion": 1.0,
    "textDocument/hover": 1.0,
    "textDocument/signatureHelp": 1.0,
    "textDocument/codeAction": 1.0,
    "completionItem/resolve": 1.0,
}
OPENERS = ["(", "[", "{", "'", '"', '"""', 'f"{', "lambda: ", "import ", "from ", "class ", "def f(", "with ", "x = \\\n", "%%time\n", "match "]
ODD = ["\0", "\u2028", "\f", "\r", "\r\n", "\U0001d4b3", "e\u0301", "\t", "\ud7ff", ":=", "@", "...", "#", "\\", "$0"]


class Fuzz:
    """One session; ``faults`` are (what, where) as text, ``took`` the milliseconds by method."""

    def __init__(self, session: lsp_eval.Session, root: Path, draw: random.Random, slack: float, log: Path) -> None:
        self.session, self.root, self.draw, self.slack, self.log = session, root, draw, slack, log
        self.read = log.stat().st_size if log.exists() else 0
        self.took: dict[str, list[float]] = collections.defaultdict(list)
        self.answered: collections.Counter[str] = collections.Counter()
        self.faults: list[Row] = []
        self.place: Row = {}
        self.version = 0

    # documents ---------------------------------------------------------------------------------------------------------

    def text(self, path: Path) -> str:
        """The file, often harmed, with something unusual now and then; no lone surrogates, which no editor sends."""
        text = path.read_bytes().decode("utf-8", "replace")
        how = self.draw.choice(["whole", "cut", "cut", "garbled", "unclosed", "odd"])
        at = self.offset(text)
        if how == "cut":
            text = text[:at]
        elif how == "garbled":
            for _ in range(self.draw.randrange(1, 30)):
                a = self.draw.randrange(len(text) + 1)
                b = min(len(text), a + self.draw.randrange(40))
                text = text[:a] + self.draw.choice(["", text[b : b + 20], self.draw.choice(OPENERS), ")"]) + text[b:]
        elif how == "unclosed":
            text = text[:at] + self.draw.choice(OPENERS) + self.draw.choice([text[at:], ""])
        elif how == "odd":
            for _ in range(self.draw.randrange(1, 6)):
                a = self.offset(text)
                text = text[:a] + self.draw.choice(ODD) + text[a:]
        self.place |= {"file": str(path), "how": how}
        return text

    def offset(self, text: str) -> int:
        """Mostly where people ask: behind a dot, a bracket, a comma, a name; else anywhere."""
        kind = self.draw.choice(".(, =anywhere")
        anywhere = self.draw.randrange(len(text) + 1)
        found = text.find(kind, anywhere) if kind in ".(, =" else -1
        return anywhere if found < 0 else found + 1

    # questions -------------------------------------------------------------------------------------------------------

    def ask(self, method: str, params: Row) -> Any:
        """The result; what is wrong with the answer becomes a fault."""
        server = self.session.server
        known = len(server.errors)
        try:
            result, took = server.request(method, params, 20.0)
        except lsp_eval.Gone as gone:
            self.fault(f"{method}: {gone}")
            raise SystemExit(self.report()) from gone
        self.took[method].append(took)
        self.answered[method] += bool(result)
        for _, error in server.errors[known:]:
            self.fault(f"{method}: {error}")
        if took > (DEADLINES[method] + self.slack) * 1e3:
            self.fault(f"{method}: {took:.0f} ms")
        return result

    def fault(self, what: str) -> None:
        """Remember what went wrong, where."""
        self.faults.append({"fault": what, **{k: v for k, v in self.place.items() if k != "text"}})
        print(what, {k: v for k, v in self.place.items() if k != "text"}, file=sys.stderr, flush=True)
        if "text" in self.place:
            (self.root / f"fault-{len(self.faults)}.txt").write_bytes(self.place["text"].encode("utf-8", "surrogatepass"))

    def at(self, uri: str, text: str, offset: int) -> None:
        """Every question at one offset."""
        position = position_of(text, offset)
        self.place |= {"text": text, "offset": offset, "line": position["line"], "character": position["character"]}
        here = {"textDocument": {"uri": uri}, "position": position}
        before = text[offset - 1 : offset]
        context = {"triggerKind": 2, "triggerCharacter": before} if before in (".", " ", "(") and before else {"triggerKind": 1}
        menu = self.ask("textDocument/completion", {**here, "context": context})
        items = lsp_eval.items_of(menu)
        if any(not self._fits(item, position) for item in items):
            self.fault("textDocument/completion: an edit that does not end at the cursor's line")
        if items:
            self.ask("completionItem/resolve", self.draw.choice(items))
        inline: Row = {**here, "context": {"triggerKind": 1}}
        if items and self.draw.random() < 0.3:
            chosen = self.draw.choice(items)
            inline["context"]["selectedCompletionInfo"] = {
                "range": chosen.get("textEdit", {}).get("range", {"start": position, "end": position}), "text": chosen["label"]}
        self.ask("textDocument/inlineCompletion", inline)
        self.ask("textDocument/hover", here)
        self.ask("textDocument/signatureHelp", {**here, "context": {"triggerKind": 1, "isRetrigger": False}})
        span = {"start": position_of(text, self.draw.randrange(offset + 1)), "end": position}
        problem = {"range": span, "message": "x", "severity": 2}
        self.ask("textDocument/codeAction", {
            "textDocument": here["textDocument"], "range": span, "context": {"diagnostics": self.draw.choice([[], [problem]])}})

        self.look()

    def look(self) -> None:
        """What the daemon's log tells since the last look."""
        size = self.log.stat().st_size if self.log.exists() else 0
        if size > self.read:
            with self.log.open("rb") as stream:
                stream.seek(self.read)
                for what in tracebacks(stream.read().decode(errors="replace")):
                    self.fault(what)
        self.read = size

    def _fits(self, item: Row, position: Row) -> bool:
        edit = item.get("textEdit")
        if not isinstance(item.get("label"), str) or not item["label"]:
            return False
        return edit is None or edit["range"]["end"] == position and edit["range"]["start"]["line"] <= position["line"]

    # rounds ------------------------------------------------------------------------------------------------------------

    def file(self, path: Path) -> None:
        """A document at a few cursors, typed on between them."""
        text = self.text(path)
        beside = self.draw.random() < 0.5  # relative imports mean something, or nothing
        uri = (path.parent / f"_fuzz_{path.name}" if beside else self.root / path.name).as_uri()
        self.version += 1
        self.tell("didOpen", {"textDocument": {"uri": uri, "languageId": "python", "version": self.version, "text": text}})
        for _ in range(self.draw.randrange(1, 4)):
            offset = len(text) if self.place["how"] == "cut" else self.offset(text)
            self.at(uri, text, offset)
            typed = self.draw.choice([".", "(", "x", "\n", "", "self.", "\nimport os\nos.", ODD[4]])
            stop = min(len(text), offset + self.draw.choice([0, 0, 0, 1, 30]))
            span = {"start": position_of(text, offset), "end": position_of(text, stop)}
            text = text[:offset] + typed + text[stop:]
            self.version += 1
            self.tell("didChange", {"textDocument": {"uri": uri, "version": self.version},
                                    "contentChanges": [{"range": span, "text": typed}]})
            self.at(uri, text, offset + len(typed))
        self.tell("didClose", {"textDocument": {"uri": uri}})

    def notebook(self, path: Path) -> None:
        """Pieces of a file as cells; one is asked, one more put in, one taken out."""
        text = self.text(path)
        self.place["how"] += ", notebook"
        cuts = sorted(self.draw.randrange(len(text) + 1) for _ in range(3))
        parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        self.version += 1
        book = (self.root / f"book{self.version}.ipynb").as_uri()
        cells = [{"kind": 2, "document": f"vscode-notebook-cell:{book[7:]}#c{n}"} for n in range(len(parts))]
        shown = [{"uri": c["document"], "languageId": "python", "version": 1, "text": t} for c, t in zip(cells, parts, strict=True)]
        self.session.server.notify("notebookDocument/didOpen", {
            "notebookDocument": {"uri": book, "notebookType": "jupyter-notebook", "version": 1, "cells": cells},
            "cellTextDocuments": shown})
        for turn in range(2):
            which = self.draw.randrange(len(parts))
            self.at(cells[which]["document"], parts[which], self.offset(parts[which]))
            if turn == 0:
                gone = self.draw.randrange(len(parts))
                new = {"kind": 2, "document": f"vscode-notebook-cell:{book[7:]}#new"}
                typed = self.draw.choice(["%matplotlib inline\nimport os\nos.", "!ls\n", "%%bash\nls", "np.", ""])
                self.session.server.notify("notebookDocument/didChange", {
                    "notebookDocument": {"uri": book, "version": 2},
                    "change": {"cells": {"structure": {
                        "array": {"start": gone, "deleteCount": 1, "cells": [new]},
                        "didOpen": [{"uri": new["document"], "languageId": "python", "version": 1, "text": typed}],
                        "didClose": [{"uri": cells[gone]["document"]}]}}}})
                cells[gone], parts[gone] = new, typed
        self.session.server.notify("notebookDocument/didClose", {
            "notebookDocument": {"uri": book}, "cellTextDocuments": [{"uri": c["document"]} for c in cells]})

    def tell(self, what: str, params: Row) -> None:
        """A notification about a document."""
        self.session.server.notify(f"textDocument/{what}", params)

    def report(self) -> str:
        """Figures and faults as JSON."""
        rows = {method: {
            "asked": len(found), "answered": self.answered[method],
            "ms_p50": round(lsp_eval.percentile(found, 0.5), 1), "ms_p95": round(lsp_eval.percentile(found, 0.95), 1),
            "ms_max": round(max(found), 1)} for method, found in self.took.items()}  # fmt: skip
        return json.dumps({"questions": rows, "faults": self.faults}, indent=1)


def position_of(text: str, offset: int) -> Row:
    """An LSP position in UTF-16 code units; lines end at \\n, \\r\\n and \\r alone."""
    if text[offset - 1 : offset + 1] == "\r\n":  # between the two: the place is the line's end
        offset -= 1
    lines = text[:offset].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return {"line": len(lines) - 1, "character": len(lines[-1].encode("utf-16-le", "surrogatepass")) // 2}


def tracebacks(text: str) -> list[str]:
    """Every traceback in a log with the line before it, and every error without one."""
    found, lines = [], text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("Traceback"):
            end = next((n for n in range(number + 1, len(lines)) if not lines[n].startswith((" ", "\t"))), number)
            found.append("\n".join(lines[max(number - 1, 0) : end + 1]))
        elif " ERROR " in line and not (number + 1 < len(lines) and lines[number + 1].startswith("Traceback")):
            found.append(line)
    return found


def main() -> int:
    """Fuzz for so many seconds; 0 when nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", type=Path, required=True, help="the environment that the documents use")
    parser.add_argument("--files", type=Path, help="folder of files to open; the environment's packages when not given")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--most", type=int, default=1_000_000, help="files at the most")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--slack", type=float, default=0.5, help="seconds past a deadline that count as late")
    parser.add_argument("--server", default=f"{sys.executable} -m octod.lsp")
    parser.add_argument("--keep", type=Path, help="folder for the texts of faults")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    from octod.core.paths import Paths

    options.env, log = options.env.resolve(), Paths.of(os.environ).log
    draw = random.Random(options.seed)
    files = sorted((options.files or options.env).resolve().rglob("*.py"))
    files = [f for f in files if 0 < f.stat().st_size < 400_000]
    draw.shuffle(files)
    with tempfile.TemporaryDirectory() as folder:
        root = (options.keep or Path(folder)).resolve()
        root.mkdir(exist_ok=True, parents=True)
        python = str(options.env / "bin" / "python")
        given = argparse.Namespace(command=shlex.split(options.server), log=root / "stderr.txt", root=root, python=python,
                                   warm=3, settle=0, timeout=20.0)  # fmt: skip
        fuzz = Fuzz(lsp_eval.Session(given), root, draw, options.slack, log)
        warm_up(fuzz, files[0])
        until, opened = time.monotonic() + options.seconds, 0
        for path in files[: options.most]:
            if time.monotonic() > until:
                break
            fuzz.place, opened = {"seed": options.seed, "number": opened}, opened + 1
            (fuzz.notebook if draw.random() < 0.2 else fuzz.file)(path)
        fuzz.session.server.end()
        fuzz.place = {}
        fuzz.look()
        for what in tracebacks((root / "stderr.txt").read_text(errors="replace")):
            fuzz.fault(what)
    report = fuzz.report()
    print(f"{opened} files, {sum(map(len, fuzz.took.values()))} questions, {len(fuzz.faults)} faults")
    print(report if not fuzz.faults else report.partition('"faults"')[0])
    if options.json:
        options.json.write_text(report)
    return bool(fuzz.faults)


def warm_up(fuzz: Fuzz, path: Path) -> None:
    """Ask until the daemon is up and answers: its start is not what is measured."""
    uri, until = (fuzz.root / "warm.py").as_uri(), time.monotonic() + 120
    text = "import os\nos."
    fuzz.tell("didOpen", {"textDocument": {"uri": uri, "languageId": "python", "version": 1, "text": text}})
    here = {"textDocument": {"uri": uri}, "position": {"line": 1, "character": 3}, "context": {"triggerKind": 1}}
    while not lsp_eval.items_of(fuzz.session.server.request("textDocument/completion", here)[0]):
        if time.monotonic() > until:
            raise SystemExit("the daemon does not come up; see `octod status`")
        time.sleep(0.1)


if __name__ == "__main__":
    raise SystemExit(main())
