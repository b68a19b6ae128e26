"""What becomes of a disk that does not take what is written: one named error instead of a surprise."""

from collections.abc import Iterator
from contextlib import contextmanager

from services.inference.domain.errors import StorageFailed


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Raise StorageFailed when the disk is full, read-only, or gone; also as a decorator."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(f"{what} cannot be written: {error.strerror or error}.") from error
