"""``octod base``: added from a folder or the hub, listed, chosen, shown and removed."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import Result
from octod.core.paths import Paths
from octod.core.settings import Settings

from tests.daemon.engines.conftest import make_checkpoint

Call = Callable[..., Result]
COMMIT = "c0ffee" * 6 + "c0ff"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint named Tiny."""
    made = make_checkpoint(tmp_path_factory.mktemp("hub") / "Tiny")
    (made / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    return made


def test_a_folder_is_added_listed_shown_and_removed(call: Call, tiny: Path) -> None:
    """The whole life of a base without a daemon."""
    added = call("base", "add", str(tiny))
    assert (0, "added tiny: ") == (added.exit_code, added.stdout[:12])
    assert "of memory; this machine" in added.stdout
    rows = json.loads(call("base", "list", "--json").stdout)
    assert [("octod-base", True), ("tiny", False)] == [(row["name"], row["used"]) for row in rows]
    assert (str(tiny), "llama", "octod") == tuple(rows[1][key] for key in ("source", "architecture", "fim"))
    shown = json.loads(call("base", "show", "tiny", "--json").stdout)
    assert ("mit", rows[1]["weights"], []) == (shown["licence"], shown["weights"], shown["adapters"])
    assert shown["in_time"].startswith("in time for menus and ghost text: a token takes")
    assert 0 < shown["speed"]["token"] < 50
    assert shown["memory"] > 4 * shown["parameters"]
    assert shown == json.loads(call("base", "show", "tiny", "--json").stdout)  # measured once
    graphs = list((Paths.of().cache / "engines").iterdir())
    assert 1 == len(graphs)
    assert "removed tiny" in call("base", "rm", "tiny").stdout
    assert [] == list((Paths.of().cache / "engines").iterdir())
    assert ["octod-base"] == [row["name"] for row in json.loads(call("base", "list", "--json").stdout)]


def test_a_base_is_used_and_given_back(call: Call, tiny: Path) -> None:
    """The setting changes, the used one is marked and cannot be removed, and the bundled one comes back."""
    call("base", "add", str(tiny), "--name", "mine")
    used = call("base", "use", "mine")
    assert (0, True) == (used.exit_code, "in time for menus and ghost text" in used.stdout)
    assert "mine" == Settings.read(Paths.of().config).base
    rows = json.loads(call("base", "list", "--json").stdout)
    assert ["mine"] == [row["name"] for row in rows if row["used"]]
    assert "mine" == json.loads(call("base", "show", "--json").stdout)["name"]
    refused = call("base", "rm", "mine")
    assert (2, "Error: mine is in use\n") == (refused.exit_code, refused.stderr.partition("  hint")[0])
    assert 0 == call("base", "use", "octod-base").exit_code
    assert "" == Settings.read(Paths.of().config).base
    assert 0 == call("base", "rm", "mine").exit_code


def test_a_base_that_is_not_there_changes_nothing(call: Call, tiny: Path) -> None:
    """An unknown name, and a folder that is no checkpoint."""
    for name, message in (("nosuch", "no base is called 'nosuch'"), ("/nowhere/x", "/nowhere/x is no base model")):
        ended = call("base", "use", name)
        assert (1, True) == (ended.exit_code, message in ended.stderr)
    assert Settings() == Settings.read(Paths.of().config)


def test_bad_input_is_told_and_nothing_is_added(call: Call, tiny: Path, tmp_path: Path) -> None:
    """A GGUF file and a truncated checkpoint: exit code 1, a hint, an empty store."""
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    shutil.copytree(tiny, tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    for path, word in ((tmp_path / "model.gguf", "GGUF"), (tmp_path / "cut", "truncated"), (tmp_path / "none", "no folder")):
        ended = call("base", "add", str(path))
        assert (1, True, True) == (ended.exit_code, word in ended.stderr, "hint: " in ended.stderr)
    assert ["octod-base"] == [row["name"] for row in json.loads(call("base", "list", "--json").stdout)]


class Hub:
    """A small hub on this machine: what `snapshot_download` asks for, and a list of what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[str]()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self, body=True)

            def do_HEAD(self) -> None:
                hub.answer(self, body=False)

            def log_message(self, *_: object) -> None:
                """The test looks at ``asked``."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """No longer reachable."""
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        """The API's model and tree, and files."""
        path = request.path.partition("?")[0]
        self.asked.append(path)
        headers: dict[str, str] = {"Content-Type": "application/json"}
        status, data = 404, b'{"error": "Repository not found"}'
        names = sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*") if p.is_file())
        if path.startswith("/api/models/closed/"):
            status, data = 403, b'{"error": "ask first"}'
            headers["X-Error-Code"] = "GatedRepo"
        elif path.startswith("/api/models/org/Tiny/tree/"):
            tree = [
                {"type": "file", "path": n, "size": (self.folder / n).stat().st_size, "oid": self.hash(n)} for n in names
            ]
            status, data = 200, json.dumps(tree).encode()
        elif path.startswith("/api/models/org/Tiny"):
            told = {"_id": "1", "id": "org/Tiny", "sha": COMMIT, "private": False, "downloads": 0, "likes": 0, "tags": []}
            status, data = 200, json.dumps(told | {"siblings": [{"rfilename": n} for n in names]}).encode()
        elif (name := path.removeprefix(f"/org/Tiny/resolve/{COMMIT}/")) in names:
            status, data = 200, (self.folder / name).read_bytes()
            headers |= {"ETag": f'"{self.hash(name)}"', "X-Repo-Commit": COMMIT}
            headers["Content-Type"] = "application/octet-stream"
        else:
            headers["X-Error-Code"] = "RepoNotFound"
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            request.send_header(name, value)
        request.end_headers()
        if body:
            request.wfile.write(data)

    def hash(self, name: str) -> str:
        """What stands for a file's git object."""
        return hashlib.sha1((self.folder / name).read_bytes()).hexdigest()


@pytest.fixture
def hub(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with the model org/Tiny: the tiny checkpoint beside files that nobody must fetch."""
    folder = tmp_path / "repository"
    shutil.copytree(tiny, folder)
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "modeling_tiny.py").write_text("raise SystemExit", encoding="utf-8")
    (folder / "original").mkdir()
    (folder / "original" / "model.safetensors").write_bytes(b"another form")
    running = Hub(folder)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", running.url)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    yield running
    running.close()


@pytest.mark.slow
def test_a_model_of_the_hub_is_fetched_and_then_used_without_a_network(call: Call, hub: Hub) -> None:
    """Only safetensors, config, tokenizer and the page are fetched; when the hub is gone its cache is enough."""
    added = call("base", "add", "org/Tiny")
    assert (0, "") == (added.exit_code, added.stderr)
    assert "added tiny: " in added.stdout
    fetched = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= fetched
    assert set() == fetched & {"pytorch_model.bin", "modeling_tiny.py"}
    assert [] == [path for path in hub.asked if "original" in path]
    row = json.loads(call("base", "list", "--json").stdout)[1]
    assert ("org/Tiny", False) == (row["source"], row["changed"])
    assert 0 == call("base", "rm", "tiny").exit_code
    hub.close()
    assert "added tiny: " in call("base", "add", "org/Tiny").stdout


@pytest.mark.slow
def test_what_the_hub_does_not_give_is_told(call: Call, hub: Hub) -> None:
    """No such model, one behind a question, and a hub that cannot be reached: what happened, and what to do."""
    for model, message, hint in (
        ("org/Absent", "has no model org/Absent", "hf auth login"),
        ("closed/model", "only to those who asked", f"ask at {hub.url}/closed/model"),
    ):
        ended = call("base", "add", model)
        assert (1, True, True) == (ended.exit_code, message in ended.stderr, hint in ended.stderr)
    hub.close()
    ended = call("base", "add", "org/Tiny")
    assert (1, True) == (ended.exit_code, f"{hub.url} cannot be reached" in ended.stderr)
    assert "name the folder of a checkpoint" in ended.stderr
    assert ["octod-base"] == [row["name"] for row in json.loads(call("base", "list", "--json").stdout)]


@pytest.mark.slow
def test_a_user_who_is_offline_is_not_asked_for(call: Call, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """HF_HUB_OFFLINE of the user's own counts here too."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    ended = call("base", "add", "org/Tiny")
    assert (1, True) == (ended.exit_code, "HF_HUB_OFFLINE is set" in ended.stderr)
    assert [] == hub.asked
