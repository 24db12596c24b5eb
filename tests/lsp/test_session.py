"""End to end: a scripted client, the language server as a process, a daemon whose service is a stub."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from client import CAPABILITIES, STUB, URI, LspClient
from octod.core.paths import Paths, private_folder
from octod.daemon.client import connect
from octod.daemon.lifecycle import running, start, stop

COMPLETION = "textDocument/completion"
INLINE = "textDocument/inlineCompletion"
CONTEXT = {"triggerKind": 1}
NEVER = (sys.executable, "-c", "import sys; sys.exit('octod: no daemon today')")


@pytest.fixture
def paths() -> Iterator[Paths]:
    """The folders of this test; whatever daemon is left is ended."""
    found = Paths.of()
    yield found
    stop(found)


def status(paths: Paths) -> dict[str, Any]:
    """The stub's record."""
    with connect(paths) as daemon:
        return daemon.request("status", {})  # type: ignore[no-any-return]


def wait_until(condition: Callable[[], object], deadline: float = 10.0) -> None:
    """Wait for a condition with a deadline."""
    until = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)


def names(menu: Any) -> list[str]:
    """The labels of a menu."""
    return [item["label"] for item in menu["items"]] if menu else []


def menu_until_there(client: LspClient, line: int = 1, character: int = 6) -> list[str]:
    """Ask as an editor does at each key, until the daemon is there."""
    until = time.monotonic() + 15
    while not (found := client.ask(COMPLETION, line, character)) or not found["items"]:
        assert time.monotonic() < until, client.stderr
        time.sleep(0.05)
    return names(found)


def test_a_session_from_the_first_to_the_last_word(paths: Paths) -> None:
    """Menu, resolve, ghost text, hover, signature and status; the daemon is started on demand and stays."""
    with LspClient(STUB, settings={"python": "/venv/bin/python"}) as client:
        client.initialize(rootUri="file:///work")
        client.open("import httpx\nhttpx.")
        assert ["get", "post", "Client"] == menu_until_there(client)
        menu = client.ask(COMPLETION, 1, 6)
        assert ["0000", "0001", "0002"] == [item["sortText"] for item in menu["items"]]
        resolved = client.request("completionItem/resolve", menu["items"][0])
        assert "Sends a GET request." in resolved["documentation"]["value"]
        client.type("get(", 1, 6)
        (ghost,) = client.ask(INLINE, 1, 10, context=CONTEXT)["items"]
        assert "url, timeout=5)" == ghost["insertText"]
        selected = {
            "range": {"start": {"line": 1, "character": 10}, "end": {"line": 1, "character": 10}},
            "text": "get",
        }
        context = {**CONTEXT, "selectedCompletionInfo": selected}
        assert "get(url)" == client.ask(INLINE, 1, 10, context=context)["items"][0]["insertText"]
        assert "httpx 0.28.1" in client.ask("textDocument/hover", 1, 2)["contents"]["value"]
        assert 0 == client.ask("textDocument/signatureHelp", 1, 10)["activeParameter"]
        told = client.notified("octod/status")
        assert ("index", True, 1.5) == (told["route"], told["model"], told["ms"])
        assert "httpx-0.28.1-abcdef012345" == told["adapters"][0]["name"]
        assert "httpx-0.28.1-abcdef012345" in client.notified("window/logMessage")["message"]
        wait_until(lambda: status(paths)["warmed"])
        assert "/venv/bin/python" in status(paths)["environments"]
        assert (0, "", b"") == (client.leave(), client.stderr, client.unframed)
    assert running(paths)


def test_initialize_needs_no_daemon_and_less_than_300_ms() -> None:
    """P6: the first answer does not wait for imports, let alone for a daemon; the fastest of three counts."""
    fastest = 9.0
    for _ in range(3):
        with LspClient(NEVER) as client:
            result = client.initialize()
            fastest = min(fastest, time.monotonic() - client.started)
            assert 0 == client.leave()
        assert result["capabilities"]["inlineCompletionProvider"] == {}
    assert fastest < 0.3


@pytest.mark.parametrize(
    ("offered", "expected", "character"),
    [
        (["utf-8", "utf-16"], "utf-8", 12),
        (None, "utf-16", 10),
        (["utf-32"], "utf-32", 9),
        (["x"], "utf-16", 10),
    ],
)
def test_the_position_encoding_is_negotiated(
    paths: Paths, offered: list[str] | None, expected: str, character: int
) -> None:
    """Ranges come back in the units that were agreed on, and form feeds are no line ends."""
    start(paths, command=STUB)
    capabilities = {**CAPABILITIES, "general": {"positionEncodings": offered} if offered else {}}
    with LspClient(STUB) as client:
        found = client.initialize(capabilities)
        assert expected == found["capabilities"]["positionEncoding"]
        client.open("\f\n'😀';httpx")
        client.type(".", 1, character)
        assert ["get", "post", "Client"] == menu_until_there(client, 1, character + 1)
        edit = client.ask(COMPLETION, 1, character + 1)["items"][0]["textEdit"]
        assert character + 1 == edit["range"]["start"]["character"]


def test_a_stale_answer_is_dropped(paths: Paths) -> None:
    """P7: the document changed while the daemon worked: nothing is shown, and the work is cancelled."""
    start(paths, command=STUB)
    with LspClient(STUB) as client:
        client.initialize()
        client.open("import httpx\nhttpx.")
        menu_until_there(client)
        client.type("#slow", 0, 0)
        asked = client.send_request(COMPLETION, client.place(1, 6))
        hovered = client.send_request("textDocument/hover", client.place(1, 6))
        client.change([{"text": "import httpx\nhttpx."}])
        assert {"isIncomplete": True, "items": []} == client.answer(asked)["result"]
        assert client.answer(hovered)["result"] is None
        assert ["get", "post", "Client"] == names(client.ask(COMPLETION, 1, 6))
        wait_until(lambda: status(paths)["cancelled"] >= 1)


def test_an_answer_for_an_older_cell_above_is_dropped(paths: Paths) -> None:
    """P7 in a notebook: a cell before the asked one changed meanwhile: nothing is shown, and the daemon gives the work up."""
    start(paths, command=STUB)
    book, cells = "file:///work/n.ipynb", ["vscode-notebook-cell:/work/n.ipynb#a", "vscode-notebook-cell:/work/n.ipynb#b"]
    texts = ["#slow\nimport httpx", "httpx."]

    def edit(client: LspClient, cell: str, text: str, version: int) -> None:
        content = {"document": {"uri": cell, "version": version}, "changes": [{"text": text}]}
        change = {"cells": {"textContent": [content]}}
        client.notify("notebookDocument/didChange", {"notebookDocument": {"uri": book, "version": version}, "change": change})

    with LspClient(STUB) as client:
        client.initialize()
        client.open("import httpx\nhttpx.")
        menu_until_there(client)
        opened = {"uri": book, "notebookType": "jupyter-notebook", "version": 1, "cells": [{"kind": 2, "document": c} for c in cells]}
        documents = [{"uri": c, "languageId": "python", "version": 1, "text": t} for c, t in zip(cells, texts, strict=True)]
        client.notify("notebookDocument/didOpen", {"notebookDocument": opened, "cellTextDocuments": documents})
        asked = client.send_request(COMPLETION, client.place(0, 6, cells[1]))
        hovered = client.send_request("textDocument/hover", client.place(0, 6, cells[1]))
        edit(client, cells[0], "import httpx\nhttpx.", 2)
        assert {"isIncomplete": True, "items": []} == client.answer(asked)["result"]
        assert client.answer(hovered)["result"] is None
        wait_until(lambda: status(paths)["cancelled"] >= 1)
        assert ["get", "post", "Client"] == names(client.ask(COMPLETION, 0, 6, cells[1]))
        asked = client.send_request(COMPLETION, client.place(1, 6, cells[0]))
        edit(client, cells[1], "httpx.g", 3)
        assert client.answer(asked)["result"]["items"]  # a cell below changes nothing


def test_a_cancelled_request_ends_in_the_daemon(paths: Paths) -> None:
    """$/cancelRequest reaches the service, and the request is answered as cancelled."""
    start(paths, command=STUB)
    with LspClient(STUB) as client:
        client.initialize()
        client.open("#slow\nhttpx.")
        asked = client.send_request("textDocument/hover", client.place(1, 6))
        wait_until(lambda: status(paths)["warmed"])
        client.notify("$/cancelRequest", {"id": asked})
        assert -32800 == client.answer(asked)["error"]["code"]


def test_a_slow_daemon_makes_no_hang(paths: Paths) -> None:
    """P6: past the deadline the menu is empty and incomplete, ghost text and hover are null."""
    start(paths, command=STUB)
    with LspClient(STUB) as client:
        client.initialize()
        client.open("import httpx\nhttpx.")
        menu_until_there(client)
        client.type("#slow", 0, 0)
        before = time.monotonic()
        assert {"isIncomplete": True, "items": []} == client.ask(COMPLETION, 1, 6)
        assert time.monotonic() - before < 1.5
        assert client.ask(INLINE, 1, 6, context=CONTEXT) is None
        assert client.ask("textDocument/hover", 1, 6) is None
        assert time.monotonic() - before < 4


def test_the_daemon_comes_back_after_kill_9(paths: Paths) -> None:
    """P6: killed under the editor, it is started again by the next key, without a person."""
    with LspClient(STUB) as client:
        client.initialize()
        client.open("import httpx\nhttpx.")
        menu_until_there(client)
        pid = running(paths)
        assert pid
        os.kill(pid, signal.SIGKILL)
        assert ["get", "post", "Client"] == menu_until_there(client)
        assert running(paths) not in (None, pid)


def test_a_stopped_daemon_makes_no_hang_and_goes_on(paths: Paths) -> None:
    """P6: SIGSTOP gives empty menus in time, SIGCONT full ones."""
    started = start(paths, command=STUB)
    with LspClient(STUB) as client:
        client.initialize()
        client.open("import httpx\nhttpx.")
        menu_until_there(client)
        os.kill(started.pid, signal.SIGSTOP)
        before = time.monotonic()
        assert [] == names(client.ask(COMPLETION, 1, 6))
        assert time.monotonic() - before < 1.5
        os.kill(started.pid, signal.SIGCONT)
        assert ["get", "post", "Client"] == menu_until_there(client)
        assert started.pid == running(paths)


def test_a_daemon_of_another_version_is_replaced_once(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """P6: the old one is asked to stop and ours starts; when the other comes back, it is left alone and told."""
    monkeypatch.setenv("STUB_VERSION", "0.0.9")
    older = start(paths, command=STUB, mine="0.0.9")
    monkeypatch.delenv("STUB_VERSION")
    with LspClient(STUB) as client:
        client.initialize()
        client.open("import httpx\nhttpx.")
        assert ["get", "post", "Client"] == menu_until_there(client)
        assert older.pid != running(paths)
        stop(paths)
        monkeypatch.setenv("STUB_VERSION", "0.0.9")
        again = start(paths, command=STUB, mine="0.0.9")
        client.type(" ", 0, 0)
        assert [] == names(client.ask(COMPLETION, 1, 6))
        client.wait_for(
            lambda: any("0.0.9" in n["params"].get("message", "") for n in client.notifications),
            10,
            "a message",
        )
        assert again.pid == running(paths)
        assert 0 == client.leave()


def test_no_daemon_at_all_is_told_once_and_nothing_hangs(paths: Paths) -> None:
    """P6: a daemon that cannot start gives empty answers, one log message, and no popup."""
    with LspClient(NEVER) as client:
        client.initialize()
        client.open("import httpx\nhttpx.")
        before = time.monotonic()
        assert {"isIncomplete": True, "items": []} == client.ask(COMPLETION, 1, 6)
        assert client.ask("textDocument/hover", 1, 2) is None
        assert client.ask(INLINE, 1, 2, context=CONTEXT) is None
        assert time.monotonic() - before < 4
        client.wait_for(
            lambda: any(n["params"].get("state") == "off" for n in client.notifications), 10, "status"
        )
        assert "no daemon today" in client.notified("window/logMessage")["message"]
        assert not [n for n in client.notifications if n["method"] == "window/showMessage"]
        assert 0 == client.leave()


def test_a_daemon_that_answers_garbage_is_survived(paths: Paths) -> None:
    """P6: what listens on the socket is no daemon: no exception, and a real one takes its place."""
    private_folder(paths.runtime)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(paths.socket))
    listening.listen()

    def answer() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"\xff" * 100)

    liar = threading.Thread(target=answer, daemon=True)
    liar.start()
    with LspClient(STUB) as client:
        client.initialize()
        client.open("import httpx\nhttpx.")
        assert ["get", "post", "Client"] == menu_until_there(client)
        liar.join(5)
        listening.close()
        assert (0, "") == (client.leave(), client.stderr)


@pytest.mark.parametrize("word", ["#boom", "#refuse"])
def test_an_error_in_the_daemon_is_no_popup(paths: Paths, word: str) -> None:
    """A failing service gives empty answers and a line in the log, once."""
    start(paths, command=STUB)
    with LspClient(STUB) as client:
        client.initialize()
        client.open(f"{word}\nhttpx.")
        for _ in range(3):
            assert {"isIncomplete": True, "items": []} == client.ask(COMPLETION, 1, 6)
        assert client.ask("textDocument/hover", 1, 2) is None
        client.notified("window/logMessage")
        assert 1 == len([n for n in client.notifications if n["method"] == "window/logMessage"])


def test_bad_frames_and_bad_messages_do_not_end_the_session(paths: Paths) -> None:
    """P10: wrong headers and bodies, wrong params and ids; the next good request is answered."""
    start(paths, command=STUB)
    with LspClient(STUB) as client:
        client.send_bytes(b"Content-Length: -1\r\n\r\n")
        client.send_bytes(b"nonsense\r\n\r\n")
        assert -32002 == client.answer(client.send_request("textDocument/hover", {}))["error"]["code"]
        client.initialize()
        client.open("import httpx\nhttpx.")
        menu_until_there(client)
        for data in (
            b"Content-Length: -5\r\n\r\n",
            b"Content-Length: 99999999999999999\r\n\r\n",
            b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"\r\n\r\n",
            b"Content-Length: 2\r\n\r\n[]",
            b"Content-Length: 2\r\n\r\n{}",
            b"Content-Length: 3\r\n\r\n{]}",
        ):
            client.send_bytes(data)
        client.send({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": {}})
        client.send({"jsonrpc": "2.0", "method": "no/such"})
        client.send({"jsonrpc": "2.0", "id": [], "method": "textDocument/hover", "params": None})
        client.send({"jsonrpc": "2.0", "id": "never asked", "result": None})
        for method, params in (("textDocument/hover", {}), ("textDocument/hover", None), ("no/such", {})):
            assert "error" in client.answer(client.send_request(method, params))
        assert "error" in client.answer(client.send_request("initialize", {"capabilities": {}}))
        client.type("", 99, 99)
        assert client.ask(COMPLETION, 99, 99, uri="file:///not/open.py") is None
        assert ["get", "post", "Client"] == names(client.ask(COMPLETION, 1, 6))
        assert 0 == client.leave()


def test_leaving_without_shutdown_is_1_and_a_closed_pipe_ends_the_server() -> None:
    """LSP's exit codes; a server whose editor is gone does not stay."""
    with LspClient(NEVER) as client:
        client.initialize()
        client.notify("exit", None)
        assert 1 == client.process.wait(10)
    with LspClient(NEVER) as client:
        client.initialize()
        assert client.process.stdin is not None
        client.process.stdin.close()
        assert 1 == client.process.wait(10)


def test_progress_of_long_work_is_shown(paths: Paths) -> None:
    """Work in the daemon becomes a progress bar that begins, goes on and ends."""
    start(paths, command=STUB)
    with LspClient(STUB) as client:
        client.initialize()
        client.open("import httpx\nhttpx.")
        menu_until_there(client)
        with connect(paths) as daemon:
            daemon.request("index", {"environment": None, "force": False})
        client.notified("$/progress", count=2)
        client.wait_for(
            lambda: any(n["params"].get("value", {}).get("kind") == "end" for n in client.notifications),
            10,
            "the end",
        )
        kinds = [n["params"]["value"]["kind"] for n in client.notifications if n["method"] == "$/progress"]
        assert ("begin", "end") == (kinds[0], kinds[-1])


def test_settings_change_the_environment(paths: Paths) -> None:
    """The interpreter comes from the first options, then from changed settings."""
    start(paths, command=STUB)
    without = {**CAPABILITIES, "workspace": {}}
    with LspClient(STUB) as client:
        client.initialize(without, initializationOptions={"python": "/first"})
        client.open("import httpx\nhttpx.")
        menu_until_there(client)
        assert {"/first"} == set(status(paths)["environments"])
        client.notify("workspace/didChangeConfiguration", {"settings": {"octod": {"python": "/second"}}})
        menu_until_there(client)
        assert "/second" == status(paths)["environments"][-1]


def test_a_document_of_another_language_is_left_alone(paths: Paths) -> None:
    """octod answers for Python."""
    start(paths, command=STUB)
    with LspClient(STUB) as client:
        client.initialize()
        document = {"uri": URI, "languageId": "markdown", "version": 1, "text": "httpx."}
        client.notify("textDocument/didOpen", {"textDocument": document})
        assert [] == names(client.ask(COMPLETION, 0, 6))


def test_stdout_carries_nothing_but_the_protocol(paths: Paths, tmp_path: Path) -> None:
    """A print anywhere in the process ends in stderr."""
    script = (
        "import sys, octod.lsp.door as door; hand = door._hand_over\n"
        "def noisy(*arguments):\n    print('noise', flush=True); return hand(*arguments)\n"
        "door._hand_over = noisy; from octod.lsp import serve; sys.exit(serve(command=sys.argv[1:]))"
    )
    start(paths, command=STUB)
    import client as module

    before, module.RUNNER = module.RUNNER, script
    try:
        with LspClient(STUB) as client:
            client.initialize()
            client.open("import httpx\nhttpx.")
            menu_until_there(client)
            assert (0, b"", "noise\n") == (client.leave(), client.unframed, client.stderr)
    finally:
        module.RUNNER = before
