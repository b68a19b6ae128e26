"""Serve the registry's models: which version answers, which are in memory, and how that changes while they answer.

Everything happens on the event loop; what is on disk changes first, then what answers. A version that is replaced
stays until whoever uses it has left, so that no prediction is dropped and none is made of two versions.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from services.inference.domain.errors import ModelRefused
from services.inference.domain.model import ModelCard
from services.inference.domain.registry import Deployment, LoadOptions, draw_of, plain_name
from services.inference.domain.registry_pool import Held, Key, Pool
from services.inference.domain.registry_status import ModelStatus, Residence, ShadowCount, unknown_card
from services.inference.ports import LoadedModel, ModelLoader, VersionStore
from trading.errors import FailedPrecondition, UnknownModel


class ServeModels:
    """The models of the registry by name; `default` and those `followed` follow the market and never leave memory."""

    def __init__(
        self,
        store: VersionStore,
        loader: ModelLoader,
        default: str,
        most_loaded: int,
        log: Any,
        draw: Callable[[], float] = random.random,
        followed: Sequence[str] = (),
    ) -> None:
        self._store = store
        self._loader = loader
        self._default = default
        self._followed = tuple(dict.fromkeys((default, *followed)))
        self._log = log
        self._draw = draw
        self._deployments: dict[str, Deployment] = {}
        self._pool: Pool[LoadedModel] = Pool(most_loaded, self._closed)
        self._most_loaded = most_loaded
        self._loading: dict[Key, asyncio.Lock] = {}
        self._changing = asyncio.Lock()
        self._leaving: set[str] = set()
        self._shadows: dict[str, ShadowCount] = {}

    # What answers

    @property
    def names(self) -> Sequence[str]:
        """Sorted names."""
        self._discover()
        return sorted(self._deployments)

    def versions(self, name: str) -> Sequence[str]:
        """Every version on disk, newest first."""
        return tuple(self._store.versions(name))

    def get(self, name: str, version: str = "") -> LoadedModel:
        """A version in memory, "" meaning the default model and the one in use.

        Raises UnknownModel, or FailedPrecondition when it is on disk alone.
        """
        return self._in_memory(self._known_key(name, version)).model

    def following(self, name: str, symbol: str) -> Held[LoadedModel]:
        """The version of a followed model that a symbol's ticks go to: a canary's share of the symbols is its own."""
        deployment = self._deployments[name]
        version = deployment.version_for(draw_of(symbol)) if deployment.canary else deployment.active
        found = self._pool.peek(Key(name, version))
        return found or self._in_memory(Key(name, deployment.active))

    @asynccontextmanager
    async def hold(self, name: str, version: str = "") -> AsyncIterator[LoadedModel]:
        """A version for as long as it is needed, brought into memory when it is not; "" lets a canary have its share.

        Raises UnknownModel, or ModelRefused when it cannot be loaded.
        """
        with await self._held(self._key(name, version)) as model:
            yield model

    @asynccontextmanager
    async def hold_exactly(self, name: str, version: str = "") -> AsyncIterator[LoadedModel]:
        """The same, "" being the active version whatever a canary's share is."""
        with await self._held(self._known_key(name, version)) as model:
            yield model

    def shadow_of(self, name: str) -> Held[LoadedModel] | None:
        """The version that predicts beside the active one, when there is one and it is in memory."""
        deployment = self._deployments.get(name)
        return self._pool.peek(Key(name, deployment.shadow)) if deployment and deployment.shadow else None

    def compared(self, name: str, version: str) -> ShadowCount:
        """The counts of a shadow, which start anew with each shadow."""
        count = self._shadows.get(name)
        if count is None or count.version != version:
            count = self._shadows[name] = ShadowCount(version)
        return count

    # What is told

    async def status(self, name: str, version: str = "") -> ModelStatus:
        """A version of a model, "" being the active one; raises UnknownModel."""
        key = self._known_key(name, version)
        deployment, versions = self._deployments[key.name], tuple(self._store.versions(key.name))
        held = self._pool.peek(key)
        shadow = self._shadows.get(key.name)
        if held is not None:
            model = held.model
            return ModelStatus(model.card, model.running, Residence.LOADED, deployment, versions, shadow=shadow)
        card, refusal = await self._described(key)
        residence = Residence.REFUSED if refusal else Residence.UNLOADED
        return ModelStatus(card, None, residence, deployment, versions, refusal, shadow)

    async def all(self) -> list[ModelStatus]:
        """The active version of every model, by name."""
        return [each async for each in self._statuses((name, "") for name in self.names)]

    async def all_versions(self, name: str) -> list[ModelStatus]:
        """Every version of a model, newest first; raises UnknownModel."""
        key = self._known_key(name, "")
        versions = self._store.versions(key.name)
        return [each async for each in self._statuses((key.name, version) for version in versions)]

    async def _statuses(self, asked: Iterable[tuple[str, str]]) -> AsyncIterator[ModelStatus]:
        for each in asked:
            with suppress(UnknownModel):  # deleted since
                yield await self.status(*each)

    # What changes

    async def start(self) -> None:
        """Load what was in use; a version that is refused is logged and left out, those that follow must load."""
        self._deployments = dict(self._store.read_state())
        self._discover()
        await self._save({})
        for name in self._followed:
            if name not in self._deployments:
                raise UnknownModel(f"No model is called {name!r}.", model=name)
            await self._held(Key(name, self._deployments[name].active))
        for key in self._wanted()[: self._most_loaded - 1]:
            try:
                await self._held(key)
            except ModelRefused as refusal:
                self._log.error("model.refused", error=refusal.message, reason=refusal.reason, **key._asdict())

    async def load(self, name: str, version: str, options: LoadOptions) -> ModelStatus:
        """Bring a version into memory; one that is there in the same way is shared. Raises ModelRefused."""
        key = self._known_key(name, version)
        deployment = self._deployments[key.name]
        wanted = options if options != LoadOptions() else deployment.options_of(key.version)
        async with self._lock_of(key):
            if self._pool.find(key) is None or wanted != deployment.options_of(key.version):
                self._take_in(key, await self._loader.load(*key, wanted))
        await self._change(key.name, lambda each: each.with_options(key.version, wanted).loaded())
        return await self.status(*key)

    async def unload(self, name: str) -> ModelStatus:
        """Take a model out of memory; raises FailedPrecondition for the one that follows the market."""
        key = self._known_key(name, "")
        if key.name in self._followed:
            raise FailedPrecondition(f"{key.name!r} follows the market and stays in memory.", reason="MODEL_IN_USE")
        await self._change(key.name, lambda each: each.put_away())
        for each in self._pool:
            if each.name == key.name:
                self._pool.remove(each)
        self._loader.forget()
        return await self.status(key.name)

    async def promote(self, name: str, version: str) -> ModelStatus:
        """Let a version answer from now on; it is in memory before it does. Raises ModelRefused."""
        key = self._known_key(name, version)
        await self._held(key)
        await self._change(key.name, lambda each: each.promoted(key.version))
        self._log.info("model.promoted", **key._asdict())
        return await self.status(key.name)

    async def roll_back(self, name: str) -> ModelStatus:
        """Let the version before answer again; raises FailedPrecondition when there is none."""
        key = self._known_key(name, "")
        returned = self._deployments[key.name].rolled_back()
        await self._held(Key(key.name, returned.active))
        await self._change(key.name, lambda each: each.rolled_back())
        self._log.info("model.rolled_back", model=key.name, version=returned.active)
        return await self.status(key.name)

    async def set_canary(self, name: str, version: str, weight: float) -> ModelStatus:
        """Give a version a share of the predictions, or end that with an empty version."""
        key = self._known_key(name, version)
        self._deployments[key.name].with_canary(version, weight)
        if version:
            await self._held(key)
        await self._change(key.name, lambda each: each.with_canary(version, weight))
        return await self.status(key.name)

    async def set_shadow(self, name: str, version: str) -> ModelStatus:
        """Let a version predict unheard, or end that with an empty version."""
        key = self._known_key(name, version)
        self._deployments[key.name].with_shadow(version)
        if version:
            await self._held(key)
        await self._change(key.name, lambda each: each.with_shadow(version))
        self._shadows.pop(key.name, None)
        return await self.status(key.name)

    async def delete(self, name: str, version: str) -> None:
        """Remove a version, or all of a model; raises FailedPrecondition when it is in use or was shipped."""
        key = self._known_key(name, version)
        versions = [version] if version else self._store.versions(key.name)
        if any(self._store.is_shipped(key.name, each) for each in versions):
            raise FailedPrecondition(f"{key.name!r} came with the service and stays.", reason="MODEL_SHIPPED")
        if not version and key.name in self._followed:
            raise FailedPrecondition(f"{key.name!r} follows the market.", reason="MODEL_IN_USE")
        async with self._changing:
            left = self._deployment(key.name).without(version) if version else None  # what was true may be no more
            await self._save({key.name: left})
            self._leaving |= set() if left else {key.name}
            try:
                for each in versions:
                    await self._remove(Key(key.name, each))
            finally:
                self._leaving.discard(key.name)

    async def _remove(self, key: Key) -> None:
        async with self._lock_of(key):  # whoever loads it is done, or finds it gone
            self._pool.remove(key)
            await asyncio.to_thread(self._store.remove, *key)
        self._loading.pop(key, None)

    async def received(self, name: str, version: str) -> ModelStatus:
        """Take note of a new version; the first one of its name answers at once."""
        async with self._changing:
            self._discover()
            await self._save({})
        if self._deployment(name).active == version:
            await self._held(Key(name, version))
        return await self.status(name, version)

    def close(self) -> None:
        """Take everything out of memory."""
        self._pool.clear()

    # How

    def _key(self, name: str, version: str = "") -> Key:
        """The version that is asked for: the active one, or a canary's share of the times."""
        name = plain_name(name) or self._default
        deployment = self._deployment(name)
        return Key(name, version or deployment.version_for(self._draw() if deployment.canary else 1.0))

    def _known_key(self, name: str, version: str) -> Key:
        name = plain_name(name) or self._default
        deployment = self._deployment(name)
        if version:
            self._store.directory(name, version)
        return Key(name, version or deployment.active)

    def _deployment(self, name: str) -> Deployment:
        if name not in self._deployments:
            self._discover()
        if name not in self._deployments:
            raise UnknownModel(f"No model is called {name!r}.", model=name)
        return self._deployments[name]

    def _discover(self) -> None:
        """Take note of models that came to the disk: the newest version of a new one is active."""
        for name in self._store.names():
            if name not in self._deployments and name not in self._leaving:
                self._deployments[name] = Deployment(self._store.versions(name)[0])

    def _in_memory(self, key: Key) -> Held[LoadedModel]:
        held = self._pool.find(key)
        if held is None:
            raise FailedPrecondition(f"{key.name!r} {key.version} is not in memory.", reason="MODEL_NOT_LOADED")
        return held

    async def _held(self, key: Key) -> Held[LoadedModel]:
        held = self._pool.find(key)
        if held is not None:
            return held
        self._store.directory(*key)
        async with self._lock_of(key):
            held = self._pool.find(key)
            if held is None:
                options = self._deployments[key.name].options_of(key.version)
                held = self._take_in(key, await self._loader.load(*key, options))
        return held

    def _take_in(self, key: Key, model: LoadedModel) -> Held[LoadedModel]:
        gone = self._pool.add(key, model, self._is_pinned)
        for each in gone:
            self._log.info("model.unloaded", reason="too many in memory", **each._asdict())
        if gone:
            self._loader.forget()
        return self._in_memory(key)

    def _is_pinned(self, key: Key) -> bool:
        return key.name in self._followed and key.version in self._deployments[key.name].in_use

    def _lock_of(self, key: Key) -> asyncio.Lock:
        return self._loading.setdefault(key, asyncio.Lock())

    async def _change(self, name: str, change: Callable[[Deployment], Deployment]) -> None:
        """On disk first: what answers after a restart is what answered before it."""
        async with self._changing:
            before = self._deployment(name)
            after = change(before)
            for version in set(after.in_use) - set(before.in_use):
                self._store.directory(name, version)  # it may have been removed since it was asked about
            if after != before:
                await self._save({name: after})

    async def _save(self, changed: Mapping[str, Deployment | None]) -> None:
        """Write what is in use with these changes, None meaning a model that goes; then let them be so."""
        changed_and_rest = {**self._deployments, **changed}
        kept = {name: each for name, each in changed_and_rest.items() if each is not None}
        await asyncio.to_thread(self._store.write_state, kept)
        for name, each in changed.items():
            if each is None:
                self._deployments.pop(name, None)
            else:
                self._deployments[name] = each

    def _wanted(self) -> list[Key]:
        """What was in use when the service ended, the default model first."""
        first = [self._default, *(name for name in sorted(self._deployments) if name != self._default)]
        return [
            Key(name, version)
            for name in first
            if not self._deployments[name].unloaded
            for version in self._deployments[name].in_use
        ]

    async def _described(self, key: Key) -> tuple[ModelCard, str]:
        try:
            return await self._loader.describe(*key), ""
        except ModelRefused as refusal:
            return unknown_card(*key), f"{refusal.reason}: {refusal.message}"

    def _closed(self, model: LoadedModel) -> None:
        model.close()
