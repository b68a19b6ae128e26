"""Loads versions whose manifest names another server as what asks that server; leaves the others to the registry."""

from contextlib import AsyncExitStack
from typing import Any

from fleet import channels
from fleet.metrics import Metrics
from inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from services.inference.adapters.model_files import delegation_of
from services.inference.adapters.oip_model import DelegationRules, OipModel
from services.inference.adapters.registry_files import RegistryFiles
from services.inference.domain.delegation import Delegation, check_fallback
from services.inference.domain.model import ModelCard
from services.inference.domain.registry import LoadOptions
from services.inference.ports import LoadedModel, ModelLoader
from trading.clock import Clock


class DelegatingLoader:
    """The `ModelLoader` of local and delegated versions; `stack` closes the connections, one to each endpoint."""

    def __init__(
        self,
        local: ModelLoader,
        files: RegistryFiles,
        stack: AsyncExitStack,
        token: str | None,
        rules: DelegationRules,
        metrics: Metrics,
        clock: Clock,
        log: Any,
    ) -> None:
        self._local = local
        self._files = files
        self._stack = stack
        self._token = token
        self._rules = rules
        self._metrics = metrics
        self._clock = clock
        self._log = log
        self._stubs: dict[str, GRPCInferenceServiceStub] = {}

    async def load(self, name: str, version: str, options: LoadOptions) -> LoadedModel:
        """A version in memory, its stand-in with it; raises UnknownModel, or ModelRefused with its reason."""
        told = delegation_of(self._files.directory(name, version))
        if told is None:
            return await self._local.load(name, version, options)
        card, delegation = told
        stand_in = await self._stand_in(card, delegation, options)
        stub = await self._stub(delegation.endpoint)
        return OipModel(card, delegation, stub, stand_in, self._rules, self._metrics, self._clock, self._log)

    async def describe(self, name: str, version: str) -> ModelCard:
        """What a version on disk says of itself; raises UnknownModel or ModelRefused."""
        told = delegation_of(self._files.directory(name, version))
        return await self._local.describe(name, version) if told is None else told[0]

    def forget(self) -> None:
        """Give memory that closed models have left back to the machine."""
        self._local.forget()

    async def _stand_in(self, card: ModelCard, delegation: Delegation, options: LoadOptions) -> LoadedModel | None:
        if not delegation.fallback:
            return None
        check_fallback(card, await self.describe(card.name, delegation.fallback))
        return await self._local.load(card.name, delegation.fallback, options)

    async def _stub(self, endpoint: str) -> GRPCInferenceServiceStub:
        if endpoint not in self._stubs:
            opened = channels.connect(endpoint, token=self._token, client="inference")
            self._stubs[endpoint] = GRPCInferenceServiceStub(await self._stack.enter_async_context(opened))
        return self._stubs[endpoint]
