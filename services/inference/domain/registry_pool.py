"""Models in memory: who uses them, which one goes when there are too many, and when a retired one may be closed."""

from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

M = TypeVar("M")


class Key(NamedTuple):
    """A version of a model."""

    name: str
    version: str


class Held(Generic[M]):
    """A model in memory. `with held as model:` keeps it from being closed meanwhile; entering costs no wait."""

    __slots__ = ("_close", "_retired", "_users", "key", "model")

    def __init__(self, key: Key, model: M, close: Callable[[M], None]) -> None:
        self.key = key
        self.model = model
        self._close = close
        self._users = 0
        self._retired = False

    def __enter__(self) -> M:
        self._users += 1
        return self.model

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        if self._retired and not self._users:
            self._close(self.model)

    @property
    def in_use(self) -> bool:
        """Somebody is between entering and leaving."""
        return self._users > 0

    def retire(self) -> None:
        """Nobody new gets it; it is closed when the last user leaves."""
        if self._retired:
            return
        self._retired = True
        if not self._users:
            self._close(self.model)


class Pool(Generic[M]):
    """At most `most` models, the least recently used going first; pinned and used ones stay."""

    def __init__(self, most: int, close: Callable[[M], None]) -> None:
        self._most = most
        self._close = close
        self._held: dict[Key, Held[M]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Key]:
        return iter(list(self._held))

    def find(self, key: Key) -> Held[M] | None:
        """A model, which counts as used now; None when it is not in memory."""
        held = self._held.get(key)
        if held is not None:
            self._held[key] = self._held.pop(key)
        return held

    def peek(self, key: Key) -> Held[M] | None:
        """A model, without counting as a use."""
        return self._held.get(key)

    def add(self, key: Key, model: M, pinned: Callable[[Key], bool]) -> list[Key]:
        """Take a model in, in the place of what had its key; gives the keys of those that had to go."""
        self.remove(key)
        self._held[key] = Held(key, model, self._close)
        return self._make_room(key, pinned)

    def remove(self, key: Key) -> bool:
        """Retire a model; False when it was not there."""
        held = self._held.pop(key, None)
        if held is not None:
            held.retire()
        return held is not None

    def clear(self) -> None:
        """Retire all."""
        for key in self:
            self.remove(key)

    def _make_room(self, newest: Key, pinned: Callable[[Key], bool]) -> list[Key]:
        gone: list[Key] = []
        for key, held in list(self._held.items()):
            if len(self._held) <= self._most:
                break
            if key != newest and not held.in_use and not pinned(key):
                self.remove(key)
                gone.append(key)
        return gone
