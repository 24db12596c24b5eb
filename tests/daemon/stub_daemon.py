"""A daemon whose service answers from the words in the document: ``python stub_daemon.py [--detach]``."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from octod.core.answers import AdapterUse, Edit, Fix, Fixes, Ghost, Hover, Menu, MenuItem, SignatureHelp
from octod.core.errors import EnvironmentProblem
from octod.core.paths import Paths
from octod.daemon.__main__ import main
from octod.daemon.protocol import Document


class StubService:
    """``#slow`` in the text makes answers late, ``#boom`` breaks them, ``#refuse`` refuses them."""

    def __init__(self) -> None:
        self.notify: Any = lambda method, params: None
        self.cancelled = 0
        self.warmed: list[tuple[str, int, int]] = []
        self.closed: list[str] = []
        self.environments: list[str | None] = []
        self.children: list[asyncio.subprocess.Process] = []

    async def menu(self, document: Document, offset: int) -> Menu | None:
        self.environments.append(document.environment)
        await self._behave(document)
        start = offset
        while start and (document.text[start - 1].isalnum() or document.text[start - 1] == "_"):
            start -= 1
        if not document.text[:start].endswith("."):
            return None
        typed = document.text[start:offset]
        items = tuple(
            MenuItem(name, kind, f"httpx.{name}", signature, "httpx 0.28.1", name == "post")
            for name, kind, signature in (
                ("get", "function", "(url, *, params=None)"),
                ("post", "function", "(url)"),
                ("Client", "class", ""),
            )
            if name.startswith(typed)
        )
        adapters = (AdapterUse("httpx-0.28.1-abcdef012345", 0.7),) if "httpx" in document.text else ()
        return Menu(items, start, "httpx", adapters=adapters, model=True, milliseconds=1.5)

    async def ghost(self, document: Document, offset: int, selected: str | None) -> Ghost | None:
        await self._behave(document)
        if selected is not None:
            return Ghost(f"{selected}(url)", offset, 0.9)
        return Ghost("url, timeout=5)", offset, 0.9, (AdapterUse("httpx-0.28.1-abcdef012345"),))

    async def hover(self, document: Document, offset: int) -> Hover | None:
        await self._behave(document)
        return self._hover(0, offset)

    async def describe(
        self, environment: str | None, root: str | None, path: str | None, qualified: str, active: str | None = None
    ) -> Hover | None:
        return self._hover(0, 0) if qualified == "httpx.get" else None

    async def signature(self, document: Document, offset: int) -> SignatureHelp | None:
        await self._behave(document)
        return SignatureHelp("get(url, *, params=None)", ("url", "params=None"), 0, "Sends a GET request.")

    async def fixes(self, document: Document, start: int, end: int) -> Fixes | None:
        await self._behave(document)
        at = document.text.find("fetch", start, max(end, start + 5))
        return None if at < 0 else Fixes((Fix("Replace `fetch` by `get`", (Edit(at, at + 5, "get"),)),))

    async def warm(self, document: Document, offset: int) -> None:
        self.warmed.append((document.uri, document.version, offset))
        await self._behave(document)

    async def close(self, uri: str) -> None:
        self.closed.append(uri)

    async def status(self) -> dict[str, Any]:
        return {
            "cancelled": self.cancelled,
            "warmed": self.warmed,
            "closed": self.closed,
            "environments": self.environments,
            "children": [child.pid for child in self.children],
        }

    async def index(self, environment: str | None, force: bool) -> dict[str, Any]:
        for share in (0.0, 0.5, 1.0):
            state = "running" if share < 1 else "done"
            job = {"id": 1, "name": "index", "state": state, "share": share, "message": f"{share:.0%}"}
            self.notify("progress", job)
            await asyncio.sleep(0.4)
        return {"environment": environment, "force": force, "libraries": 3}

    async def adapters_changed(self) -> None:
        self.notify("changed", {"what": "adapters"})

    async def base_changed(self) -> None:
        self.notify("changed", {"what": "base"})

    async def stop(self) -> None:
        """Leaves its children to the daemon."""

    async def _behave(self, document: Document) -> None:
        if "#boom" in document.text:
            raise RuntimeError("boom")
        if "#refuse" in document.text:
            raise EnvironmentProblem("no environment there", "name one")
        if "#slow" in document.text:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise

    def _hover(self, start: int, end: int) -> Hover:
        doc = "Sends a GET request.\n\n![x](https://example.org/x.png) ```tricky```"
        return Hover("httpx.get", "function", "get(url, *, params=None)", doc, "httpx", "0.28.1", start, end)


async def make(paths: Paths) -> StubService:
    """The stub after STUB_DELAY seconds; with STUB_FAIL it does not come, with STUB_CHILD it has a child."""
    await asyncio.sleep(float(os.environ.get("STUB_DELAY", "0")))
    if os.environ.get("STUB_FAIL"):
        raise EnvironmentProblem("nothing to serve", "mend it")
    service = StubService()
    if os.environ.get("STUB_CHILD"):
        sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
        service.children.append(await asyncio.create_subprocess_exec(*sleeper))
    return service


if __name__ == "__main__":
    sys.exit(main(make=make, mine=os.environ.get("STUB_VERSION")))
