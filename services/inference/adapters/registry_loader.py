"""Turns versions on disk into models that run, one at a time, off the event loop."""

import asyncio
import contextlib
import ctypes
import gc
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from services.inference.adapters.model_files import (
    ONNX_FILE,
    SAFETENSORS_FILE,
    describe_version,
    load_model,
    read_onnx_card,
)
from services.inference.adapters.onnx_runtime import GpuPolicy
from services.inference.adapters.onnx_session import OnnxModel, SessionRules
from services.inference.adapters.probe import TrialRules, try_model
from services.inference.adapters.registry_files import VERSION_TAKEN, RegistryFiles, file_of
from services.inference.adapters.safetensors_file import FileLimits
from services.inference.adapters.storage import storing
from services.inference.domain.errors import ModelRefused, Refusal
from services.inference.domain.model import ModelCard
from services.inference.domain.registry import LoadOptions
from trading.errors import FailedPrecondition

T = TypeVar("T")
_SNIFFED, _ATTEMPTS = 9, 3


class RegistryLoader:
    """Loads, describes and takes in versions; work that takes long happens on one thread."""

    def __init__(
        self, files: RegistryFiles, rules: SessionRules, limits: FileLimits, trial: TrialRules, log: Any
    ) -> None:
        self._files = files
        self._rules = rules
        self._limits = limits
        self._trial = trial
        self._log = log
        self._cards: dict[Path, tuple[tuple[int, int], ModelCard | ModelRefused]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="models")

    async def load(self, name: str, version: str, options: LoadOptions) -> OnnxModel:
        """A version in memory; raises UnknownModel, or ModelRefused with its reason."""
        return await self._off_loop(lambda: self._load(self._files.directory(name, version), options))

    async def describe(self, name: str, version: str) -> ModelCard:
        """What a version on disk says of itself, without running it; raises UnknownModel or ModelRefused."""
        return await self._off_loop(lambda: self._described(self._files.directory(name, version)))

    @asynccontextmanager
    async def receiving(self, name: str) -> AsyncIterator["Receiving"]:
        """A file that arrives in pieces."""
        with self._files.incoming() as directory:
            yield Receiving(self, directory, name, self._limits.file_bytes)

    def close(self) -> None:
        """Wait for the load in progress and end the thread."""
        self._thread.shutdown()

    def forget(self) -> None:
        """Give memory that closed models have left back to the machine; glibc keeps it for itself otherwise."""
        gc.collect()
        with contextlib.suppress(AttributeError, OSError):  # no glibc: nothing to ask
            ctypes.CDLL(None).malloc_trim(0)

    async def _off_loop(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _load(self, directory: Path, options: LoadOptions) -> OnnxModel:
        if file_of(directory).name == ONNX_FILE:
            try_model(directory, self._trial)
        policy, note = self._policy(options.use_gpu)
        rules = replace(self._rules, gpu=policy, batch_rows=options.batch_rows or self._rules.batch_rows)
        model = load_model(directory, rules, options.precision, self._limits)
        if note:
            model.running = replace(model.running, device_note=note)
        self._log.info(
            "model.loaded",
            model=model.card.name,
            version=model.card.version,
            precision=model.card.precision,
            device=model.running.device,
            device_note=model.running.device_note,
            load_ms=round(model.running.load_ms, 1),
            run_us=model.running.run_ns / 1e3,
            inline=model.running.inline,
        )
        return model

    def _policy(self, use_gpu: bool | None) -> tuple[GpuPolicy, str]:
        told = self._rules.gpu
        if use_gpu is None or told in ("require", "coreml"):
            return told, ""
        if use_gpu and told == "off":
            return told, "The service is told to use no GPU."
        return ("prefer" if use_gpu else "off"), ""

    def _described(self, directory: Path) -> ModelCard:
        """Remembered while the file stays the same: hashing it takes its time."""
        path = file_of(directory)
        found = path.stat()
        seal = (found.st_mtime_ns, found.st_size)
        known = self._cards.get(path)
        if known is None or known[0] != seal:
            known = self._cards[path] = (seal, self._read_card(directory))
        if isinstance(known[1], ModelRefused):
            raise known[1]
        return known[1]

    def _read_card(self, directory: Path) -> ModelCard | ModelRefused:
        try:
            return describe_version(directory, self._limits)
        except ModelRefused as refusal:
            return refusal

    def take_in(self, received: Path, name: str, wanted: str) -> tuple[str, bool]:
        """Keep a received file as a version after every check and a trial; its version, and whether it is new."""
        is_safetensors = wanted == "safetensors" if wanted else _looks_like_safetensors(received)
        version = self._files.next_version(name)
        directory = received.parent / name / version
        directory.mkdir(parents=True)
        received.rename(directory / (SAFETENSORS_FILE if is_safetensors else ONNX_FILE))
        card = self._card_of(directory, is_safetensors=is_safetensors)
        for known in self._files.versions(name):
            if self._sha256(name, known) == card.sha256:
                return known, False
        self._tried(directory, card, is_safetensors=is_safetensors)
        return self._kept(directory, card), True

    def _kept(self, directory: Path, card: ModelCard) -> str:
        """Keep it under the next free number: training makes versions, too, and may have been faster."""
        for _ in range(_ATTEMPTS):
            try:
                self._files.keep(directory, card)
            except FailedPrecondition as error:
                if error.reason != VERSION_TAKEN:
                    raise
                card = replace(card, version=self._files.next_version(card.name))
                directory = directory.rename(directory.parent / card.version)
            else:
                return card.version
        raise FailedPrecondition(f"Versions of {card.name!r} come too fast.", reason=VERSION_TAKEN)

    def _card_of(self, directory: Path, *, is_safetensors: bool) -> ModelCard:
        return describe_version(directory, self._limits) if is_safetensors else read_onnx_card(directory, self._limits)

    def _tried(self, directory: Path, card: ModelCard, *, is_safetensors: bool) -> None:
        if not is_safetensors:
            self._files.write_manifest(directory, card)
        try_model(directory, self._trial)

    def _sha256(self, name: str, version: str) -> str:
        try:
            return self._described(self._files.directory(name, version)).sha256
        except ModelRefused:
            return ""


def _looks_like_safetensors(path: Path) -> bool:
    """A header's length, then JSON; in an ONNX file the ninth byte is no brace unless somebody plays tricks."""
    with path.open("rb") as file:
        return file.read(_SNIFFED)[_SNIFFED - 1 :] == b"{"


class Receiving:
    """A file in the making."""

    def __init__(self, loader: RegistryLoader, directory: Path, name: str, most_bytes: int) -> None:
        self._loader = loader
        self._name = name
        self._path = directory / "received"
        self._most_bytes = most_bytes
        self._size = 0

    async def piece(self, content: bytes) -> None:
        """The next piece; raises ModelRefused when it has become too big."""
        self._size += len(content)
        if self._size > self._most_bytes:
            raise ModelRefused(Refusal.TOO_BIG, f"Expected a file of at most {self._most_bytes} bytes.")
        await self._loader._off_loop(lambda: self._append(content))

    async def finish(self, wanted: str) -> tuple[str, bool]:
        """Check, try and keep it: the version, and whether it is new. Raises ModelRefused.

        `wanted` is safetensors, onnx, or nothing when the bytes shall tell.
        """
        await self.piece(b"")
        return await self._loader._off_loop(lambda: self._loader.take_in(self._path, self._name, wanted))

    @storing("The file that is received")
    def _append(self, content: bytes) -> None:
        with self._path.open("ab") as file:
            file.write(content)
