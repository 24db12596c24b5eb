"""The service behind the daemon's socket: a document and an offset in, a menu, ghost text or a hover out.

The index is read in one thread of its own, so the event loop stays free; the language model answers from another
process.  A menu is not kept by the model for longer than ``Settings.menu_model_ms`` after its question.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from octod.adapters.accepted import Accepted
from octod.adapters.identity import BaseModel
from octod.adapters.ranker import Ranker
from octod.adapters.routing import Choice
from octod.core.answers import AdapterUse, Fixes, Ghost, Hover, Menu, Route, SignatureHelp
from octod.core.errors import IndexProblem, OctodError
from octod.core.paths import Paths, private_folder
from octod.core.settings import Settings
from octod.daemon import ghost as ghosts
from octod.daemon import menu
from octod.daemon.context import Place, Usages, imports_of, modules_of, place_at, prompt_at
from octod.daemon.engines.protocol import Engine
from octod.daemon.imports import left_out
from octod.daemon.jedi_worker import JediWorker
from octod.daemon.jobs import Jobs
from octod.daemon.learning import Learning
from octod.daemon.model import Model, base_for, engine_for
from octod.daemon.offers import Around, Offer, acquaint, offer_at
from octod.daemon.protocol import Document, Notify
from octod.daemon.routes import Routes
from octod.daemon.unimported import Unimported
from octod.daemon.unknown import ask_jedi
from octod.daemon.workspaces import Workspace, Workspaces
from octod.indexer.scope import callees_at
from octod.indexer.sources import tidy

if TYPE_CHECKING:
    from octod.daemon.actions import Past

__all__ = ["OctodService", "make_service"]

T = TypeVar("T")

_TURNS = 60  # of 10 to 20 ms, for a file to be read as a whole
_AHEAD = 24  # imported modules whose members are read before somebody asks
_QUIET = 0.5  # seconds that the engine's start waits for a first menu
_MOST, _LEAST = 0.6, 0.01  # seconds for the model: the language server waits for one, a short score takes 5 ms
_JEDI = 0.03  # seconds a menu waits for jedi, which is asked ahead; a late answer is there at the next key
_JEDI_LIMIT = 30.0  # seconds for one question, its start included: importing jedi takes long on a machine that indexes


class OctodService:
    """The real service; ``engine`` None means the index alone."""

    def __init__(self, paths: Paths, settings: Settings, engine: Engine | None, base: BaseModel | None) -> None:
        self.notify: Notify = lambda method, params: None
        self._paths, self._settings = paths, settings
        self._jobs = Jobs(lambda method, params: self.notify(method, params))
        self._workspaces = Workspaces(paths, self._jobs, lambda: self.notify("changed", {}), self._say)
        self._model = Model(engine, base, paths, self._say)
        self._jedi = JediWorker(private_folder(paths.cache / "jedi"), limit=_JEDI_LIMIT)
        self._past: Past | None = None
        self._ranker = Ranker.shipped()
        self._usages: dict[str, Usages] = {}
        self._names: dict[str, Unimported] = {}
        self._tables = paths.cache / "names"
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="index")
        self._learning = Learning(Accepted.at(paths) if settings.learn else None, self._reader)
        self._routes = Routes()
        self._answered = asyncio.Event()  # a first menu went out
        self._starting, self._changing = asyncio.create_task(self._start()), asyncio.Lock()

    async def menu(self, document: Document, offset: int) -> Menu | None:
        """Lane A: members in order, with the model's score when it comes in time; names, keywords, what to import."""
        began = time.perf_counter()
        workspace = self._workspace(document)
        offer = await self._offer(workspace, document, offset)
        if offer.route is None:
            return None
        place, cursor = offer.place, offer.place.cursor
        start = cursor.offset - len(cursor.partial)
        unranked = len(offer.table) != len(place.members)  # a finished menu without entries
        if offer.items or unranked or offer.route not in ("index", "imports"):
            self._count(workspace, offer.route)
            return Menu(offer.items, start, "", offer.route, incomplete=offer.incomplete, milliseconds=_since(began), brackets=offer.brackets)
        if not place.members:
            return await self._unknown(workspace, place, began)
        table, uses = offer.table, None
        if offer.rows and self._settings.menu_model_ms:
            # What the index took is the model's loss: the menu as a whole is there in time.
            until = began + min(self._settings.menu_model_ms / 1e3, _MOST)
            choice = await self._choice(document, offer.around, max(_LEAST, until - time.perf_counter()))
            prompt = prompt_at(document, offset, menu.signatures(place, offer.rows), until=cursor.dot)
            names = [place.members[i].symbol.name for i in offer.rows]
            scored = await self._model.score(prompt, names, choice.mixture, max(_LEAST, until - time.perf_counter()))
            if scored is not None:
                table, uses = menu.with_model(table, offer.rows, scored), _uses(choice)
        self._count(workspace, offer.route)
        self._learning.offered(document, place)
        first = place.first
        return Menu(
            menu.items(place, self._ranker.scores(table, uses is not None), offer.used, left_out(place)),
            start,
            first.qualified if first else "",
            offer.route,
            uses or (),
            uses is not None,
            milliseconds=_since(began),
            brackets=offer.brackets,
        )

    async def ghost(self, document: Document, offset: int, selected: str | None) -> Ghost | None:
        """Lane B: the arguments at the cursor, or the rest of the menu's selected entry with its arguments."""
        began = time.perf_counter()
        workspace = self._workspace(document)
        if selected is not None:
            return await self._selected(workspace, document, offset, selected)
        call, options, choice = await self._call(workspace, document, offset)
        if call is None:
            return None
        prompt = prompt_at(document, offset, ghosts.called_signature(call))
        left = self._settings.ghost_ms / 1e3
        made = None
        if call.parameters is not None:
            made = await self._model.generate(prompt, call.constraint, choice.mixture, left * 0.7)
        if made is not None and made.finished:
            text = made.text.removesuffix(")")
            if all(option.text != text for option in options):
                options = [*options, ghosts.Option(text, made=True)]
        left -= time.perf_counter() - began
        texts = [f"{option.text})" for option in options]
        scores = await self._model.score(prompt, texts, choice.mixture, max(left, 0.05), "none")
        chosen = ghosts.choose(options, scores)
        if chosen is None:
            return None
        best, share = chosen
        if share < self._settings.ghost_threshold:
            return None
        option = options[best]
        return Ghost(
            option.text if call.closed else f"{option.text})",
            offset,
            share,
            _uses(choice) if scores is not None else (),
            "model" if option.made else "copy" if option.text else "empty",
            _since(began),
        )

    async def hover(self, document: Document, offset: int) -> Hover | None:
        """What stands at the offset."""
        from octod.daemon import details

        end = details.word_end(document.text, offset)
        workspace = self._workspace(document)
        index = workspace.index
        return await self._read(workspace, lambda: details.hover_at(index, place_at(index, document, end)))

    async def describe(
        self, environment: str | None, root: str | None, path: str | None, qualified: str, active: str | None = None
    ) -> Hover | None:
        """What a qualified name is."""
        from octod.daemon import details

        workspace = self._workspaces.of(environment, root, path, active)
        return await self._read(workspace, details.describe, workspace.index, qualified)

    async def signature(self, document: Document, offset: int) -> SignatureHelp | None:
        """The call around the offset."""
        from octod.daemon import details

        workspace = self._workspace(document)
        index = workspace.index
        return await self._read(workspace, lambda: details.signature_at(index, place_at(index, document, offset)))

    async def fixes(self, document: Document, start: int, end: int) -> Fixes | None:
        """Likely successors of names in a range that the installed version of their library lacks."""
        from octod.daemon.actions import Past, fixes, gone_in

        workspace = self._workspace(document)
        past = self._past = self._past or Past(self._paths)
        gone = await self._read(workspace, gone_in, workspace.index, document, start, end)
        if not gone:
            return None
        known = [(one, await past.of(workspace, one.library)) for one in gone]
        return await self._read(workspace, fixes, workspace.index, document, known)

    async def warm(self, document: Document, offset: int) -> None:
        """Open the environment, load the file's adapters, let the model read up to the current line, read what is imported."""
        workspace = self._workspace(document)
        offer = await self._offer(workspace, document, offset, members_only=True)
        for _ in range(_TURNS):  # the rest of a long file, in short turns between which a menu is answered
            if offer.whole:
                break
            offer = await self._offer(workspace, document, offset, members_only=True)
        if offer.route == "index" and not offer.place.members:
            await ask_jedi(self._jedi, workspace.environment, offer.place, 0.0)
        choice = await self._choice(document, offer.around)
        shown = menu.signatures(offer.place, offer.rows)
        if not shown and offer.place.cursor.call is not None:
            call, _, choice = await self._call(workspace, document, offset)
            shown = ghosts.called_signature(call) if call is not None else ()
        await self._model.warm(prompt_at(document, offset, shown), choice.mixture)
        usages = self._usages_of(workspace)
        for module in modules_of(document.text)[:_AHEAD]:
            for _ in range(_TURNS):
                if await self._read(workspace, acquaint, workspace.index, usages, module):
                    break
        await self._read(workspace, tidy, workspace.index)

    async def close(self, uri: str) -> None:
        """Nothing is kept for a document but what was told about it."""
        self._model.closed(uri)
        self._learning.closed(uri)

    async def status(self) -> dict[str, Any]:
        """What there is to tell, as JSON values."""
        places = [{**place, **self._routes.told(place["environment"])} for place in self._workspaces.status()]
        return {
            "model": self._model.status(),
            "workspaces": places,
            "degraded": self._workspaces.degraded,
            **self._routes.told(),
            "jobs": self._jobs.listing(),
        }

    async def index(self, environment: str | None, force: bool) -> dict[str, Any]:
        """Index an environment now."""
        return asdict(await self._workspaces.of(environment, None, None).build(force))

    async def adapters_changed(self) -> None:
        """Read the registry again."""
        self._model.forget()
        self.notify("changed", {})

    async def base_changed(self) -> None:
        """Take up the base and the engine that the settings name now; what cannot be had leaves the old one at work."""
        settings = await asyncio.to_thread(Settings.read, self._paths.config)
        base = await asyncio.to_thread(base_for, settings, self._paths)
        engine = engine_for(settings, base, self._paths)
        async with self._changing:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
            await self._model.replace(engine, base)
            self._settings = settings
            self._starting = asyncio.create_task(self._start())
        self.notify("changed", {})

    async def stop(self) -> None:
        """Stop everything that was started."""
        self._starting.cancel()
        await asyncio.gather(self._starting, return_exceptions=True)
        gathering = [names.stop for names in self._names.values()]
        for part in (self._jobs.stop, self._model.stop, self._jedi.stop, *gathering, self._workspaces.close):
            with contextlib.suppress(OctodError):
                await part()
        self._reader.shutdown(wait=False, cancel_futures=True)

    async def _start(self) -> None:
        """Bring up the engine, which keeps every core busy for a second, once the first menu has gone out or nobody asked for one."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._answered.wait(), _QUIET)
        if self._settings.engine == "vllm":  # which takes a minute
            self._jobs.start("starting the engine", self._model.follow)
        await self._model.start()

    # helpers -------------------------------------------------------------------------------------------------------

    def _workspace(self, document: Document) -> Workspace:
        self._learning.seen(document)
        return self._workspaces.of(document.environment, document.root, document.path, document.active)

    def _usages_of(self, workspace: Workspace) -> Usages:
        known = self._usages.get(workspace.environment.key)
        if known is None or known.index is not workspace.index:
            known = self._usages[workspace.environment.key] = Usages(workspace.index, accepted=self._learning.accepted)
        return known

    def _names_of(self, workspace: Workspace) -> Unimported:
        key = workspace.environment.key
        known = self._names.get(key)
        if known is None:
            known = self._names[key] = Unimported(workspace.index, private_folder(self._tables) / f"{key}.txt")
        return known

    def _count(self, workspace: Workspace, route: Route) -> None:
        self._answered.set()
        self._routes.count(str(workspace.environment.root), route)

    async def _read(self, workspace: Workspace, work: Callable[..., T], *arguments: object) -> T:
        """Run in the thread that reads indexes; an index that turns out to be damaged is built again."""

        def reading() -> T:
            try:
                return work(*arguments)
            finally:
                workspace.inspect()

        try:
            return await asyncio.get_running_loop().run_in_executor(self._reader, reading)
        except (LookupError, ValueError) as error:
            if workspace.index.damaged or not await asyncio.to_thread(workspace.sound):
                # a row that must be there is not, or holds what nobody wrote
                raise IndexProblem("the index is damaged", "it is built again, answers come back by themselves") from error
            raise
        finally:
            workspace.look()

    async def _offer(self, workspace: Workspace, document: Document, offset: int, *, members_only: bool = False) -> Offer:
        usages, names = self._usages_of(workspace), self._names_of(workspace)
        read = partial(offer_at, workspace.index, usages, names, self._ranker, document, offset, members_only=members_only)
        found = await self._read(workspace, read)
        names.look()
        return found

    async def _call(
        self, workspace: Workspace, document: Document, offset: int
    ) -> tuple[ghosts.Call | None, list[ghosts.Option], Choice]:
        index = workspace.index

        def read() -> tuple[ghosts.Call | None, list[ghosts.Option], Around]:
            place = place_at(index, document, offset)
            targets = callees_at(index, place.cursor, place.module, place.package)
            call = ghosts.call_at(place, targets)
            usages = self._usages_of(workspace)
            usages.refresh()
            options = ghosts.options(call, usages) if call is not None else []
            owner = index.scope(targets[0].qualified.rpartition(".")[0]) if targets else None
            library = owner.library.distribution if owner is not None else None
            return call, options, Around(imports_of(document.text), library, index.import_names())

        call, options, around = await self._read(workspace, read)
        if call is None:
            return None, [], Choice(())
        return call, options, await self._choice(document, around, self._settings.ghost_ms / 2e3)

    async def _selected(self, workspace: Workspace, document: Document, offset: int, selected: str) -> Ghost | None:
        """The menu's entry under the user's eyes with its arguments, as if it were typed already."""
        place = await self._read(workspace, place_at, workspace.index, document, offset)
        start = offset - len(place.cursor.partial)
        member = next((m for m in place.members if m.symbol.name == selected), None)
        if member is None or member.symbol.parameters is None or place.cursor.importing is not None:
            return None
        if document.text.startswith("(", offset):
            return None  # it has its arguments
        text = f"{document.text[:start]}{selected}({document.text[offset:]}"
        typed = Document(document.uri, document.version, text, document.path, document.environment, document.root)
        found = await self.ghost(typed, start + len(selected) + 1, None)
        if found is None:
            return None
        return Ghost(f"{selected}({found.text}", start, found.confidence, found.adapters, found.source, found.milliseconds)

    async def _unknown(self, workspace: Workspace, place: Place, began: float) -> Menu:
        """The index does not know the receiver: jedi may, in its worker."""
        cursor = place.cursor
        start = cursor.offset - len(cursor.partial)
        if not cursor.receiver:
            self._count(workspace, "unknown")
            return Menu((), start, "", "unknown", milliseconds=_since(began))
        found = await ask_jedi(self._jedi, workspace.environment, place, _JEDI)
        counts: dict[str, int] = {}
        for key in place.receiver.unknown:
            usage = self._usages_of(workspace).of(key)
            counts |= usage.members if usage is not None else {}
        route: Route = "jedi" if found else "unknown"
        self._count(workspace, route)
        items = menu.items_of_jedi(found, counts)
        return Menu(items, start, "", "jedi" if found else "unknown", incomplete=not found, milliseconds=_since(began))

    async def _choice(self, document: Document, around: Around, patience: float | None = None) -> Choice:
        return await self._model.choice(document.uri, around.imports, around.library, around.installed, patience)

    def _say(self, text: str) -> None:
        self.notify("message", {"text": text})


def _uses(choice: Choice) -> tuple[AdapterUse, ...]:
    return tuple(AdapterUse(name, weight) for name, weight in choice.mixture)


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1e3, 2)


def make_service(paths: Paths, settings: Settings, base: BaseModel | None) -> OctodService:
    """The service with the engine over ``base``, or with the index alone; to be called where an event loop runs."""
    # What is loaded by now stays; the default thresholds pause for up to 2 s on the heap of a large index.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    # A read of the index gives up the interpreter some hundred times; with a build beside it each would wait for 5 ms.
    sys.setswitchinterval(0.0005)
    return OctodService(paths, settings, engine_for(settings, base, paths), base)
