"""Which version of a model answers: promotion, rollback, canary and shadow, as values that change by being replaced."""

import re
import zlib
from pathlib import PurePosixPath

import msgspec

from services.inference.domain.errors import ModelRefused, Refusal
from services.inference.domain.model_spec import Precision
from trading.errors import FailedPrecondition, InvalidArgument, UnknownModel

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MOST_REMEMBERED = 16
_SUFFIXES = (".safetensors", ".onnx")
_FILES = (*_SUFFIXES, ".json")
"""Ends of names that files have: the first two are not heard in a name, and the registry's own state is the third."""
_DRAWS = 1 << 32


class LoadOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a version is loaded; None means as it is stored, or as the service is told."""

    precision: Precision | None = None
    use_gpu: bool | None = None
    batch_rows: int | None = None


class Deployment(msgspec.Struct, frozen=True, omit_defaults=True):
    """The versions of one model that are in use; `history` is what was active before, oldest first."""

    active: str
    history: tuple[str, ...] = ()
    canary: str = ""
    canary_weight: float = 0.0
    shadow: str = ""
    unloaded: bool = False
    options: dict[str, LoadOptions] = {}

    @property
    def previous(self) -> str:
        """The version that a rollback returns to, or nothing."""
        return self.history[-1] if self.history else ""

    @property
    def in_use(self) -> tuple[str, ...]:
        """Every version that predicts: the active one, a canary, a shadow."""
        return tuple(dict.fromkeys(version for version in (self.active, self.canary, self.shadow) if version))

    def version_for(self, draw: float) -> str:
        """The version that a draw from 0..1 falls on."""
        return self.canary if self.canary and draw < self.canary_weight else self.active

    def options_of(self, version: str) -> LoadOptions:
        """How a version is loaded."""
        return self.options.get(version, LoadOptions())

    def promoted(self, version: str) -> "Deployment":
        """Another version is active; a canary or shadow that it was has ended."""
        if version == self.active:
            return msgspec.structs.replace(self, unloaded=False)
        history = (*self.history, self.active)[-MOST_REMEMBERED:]
        return self._without_trials(version, active=version, history=history, unloaded=False)

    def rolled_back(self) -> "Deployment":
        """The version before is active again; raises FailedPrecondition when there is none."""
        if not self.history:
            raise FailedPrecondition("There is no version to return to.", reason="NO_PREVIOUS_VERSION")
        return self._without_trials(self.previous, active=self.previous, history=self.history[:-1], unloaded=False)

    def with_canary(self, version: str, weight: float) -> "Deployment":
        """A share of the predictions goes to a version; none, when the version is empty."""
        if not version:
            return msgspec.structs.replace(self, canary="", canary_weight=0.0)
        self._expect_another(version, "canary")
        if not 0 <= weight <= 1:
            raise InvalidArgument(f"Expected a weight from 0 to 1, was {weight}.", field="weight")
        return msgspec.structs.replace(self, canary=version, canary_weight=weight)

    def with_shadow(self, version: str) -> "Deployment":
        """A version predicts unheard beside the active one; none, when it is empty."""
        if version:
            self._expect_another(version, "shadow")
        return msgspec.structs.replace(self, shadow=version)

    def without(self, version: str) -> "Deployment":
        """A version is gone from disk; raises FailedPrecondition when it is in use."""
        if version in self.in_use:
            raise FailedPrecondition(f"Version {version} is in use.", reason="MODEL_IN_USE", version=version)
        options = {name: each for name, each in self.options.items() if name != version}
        history = tuple(each for each in self.history if each != version)
        return msgspec.structs.replace(self, history=history, options=options)

    def loaded(self) -> "Deployment":
        """In memory after a restart too."""
        return msgspec.structs.replace(self, unloaded=False)

    def put_away(self) -> "Deployment":
        """Not loaded after a restart before somebody asks."""
        return msgspec.structs.replace(self, unloaded=True)

    def with_options(self, version: str, options: LoadOptions) -> "Deployment":
        """A version is loaded so from now on."""
        others = {name: each for name, each in self.options.items() if name != version}
        told = {} if options == LoadOptions() else {version: options}
        return msgspec.structs.replace(self, options={**others, **told})

    def _expect_another(self, version: str, role: str) -> None:
        if version == self.active:
            raise FailedPrecondition(
                f"Version {version} is active: it cannot be its own {role}.", reason="MODEL_IN_USE"
            )

    def _without_trials(self, version: str, **changes: object) -> "Deployment":
        found = msgspec.structs.replace(self, **changes)
        if found.canary == version:
            found = msgspec.structs.replace(found, canary="", canary_weight=0.0)
        return msgspec.structs.replace(found, shadow="") if found.shadow == version else found


def draw_of(text: str) -> float:
    """A number in 0..1 that is always the same for the same text: a symbol stays with its version."""
    return zlib.crc32(text.encode()) / _DRAWS


def plain_name(asked: str) -> str:
    """The model that a client means: `./models/X.safetensors` is X; raises UnknownModel for what can be no name."""
    name = PurePosixPath(asked).name if asked else ""
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    if asked and not NAME.fullmatch(name):
        raise UnknownModel(f"No model is called {asked[:80]!r}.", model=asked[:80])
    return name


def check_new_name(name: str) -> None:
    """Raise ModelRefused for a name that no model can have."""
    if not NAME.fullmatch(name):
        raise ModelRefused(
            Refusal.PATH, f"Expected a name of a-z, 0-9, '.', '_' and '-', up to 64 characters, was {name[:80]!r}."
        )
    if name.endswith(_FILES):
        raise ModelRefused(Refusal.PATH, f"Expected a model's name, was {name!r}, which is a file's.")
