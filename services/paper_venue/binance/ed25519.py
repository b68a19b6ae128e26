"""Ed25519 signatures (RFC 8032) of the one key pair that the venue draws for its customer.

The scheme is deterministic, and this venue knows the private key that it handed out: it checks a signature by signing
once more. The arithmetic is plain Python, about two milliseconds a signature, and not constant in time: it guards
play money on a local host, nothing else.
"""

import base64
import hashlib
import hmac
from typing import NamedTuple

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_PKCS8_PREFIX = bytes.fromhex("302e020100300506032b657004220420")
_SEED_BYTES = 32


class _Point(NamedTuple):
    """A point of the curve in extended homogeneous coordinates."""

    x: int
    y: int
    z: int
    t: int

    def __add__(self, other: object) -> "_Point":
        assert isinstance(other, _Point)
        a = (self.y - self.x) * (other.y - other.x) % _P
        b = (self.y + self.x) * (other.y + other.x) % _P
        c = 2 * self.t * other.t * _D % _P
        d = 2 * self.z * other.z % _P
        e, f, g, h = b - a, d - c, d + c, b + a
        return _Point(e * f % _P, g * h % _P, f * g % _P, e * h % _P)

    def encoded(self) -> bytes:
        """The 32 bytes of the point: y, with the parity of x in the highest bit."""
        inverse = pow(self.z, -1, _P)
        x, y = self.x * inverse % _P, self.y * inverse % _P
        return (y | (x & 1) << 255).to_bytes(32, "little")


_NEUTRAL = _Point(0, 1, 1, 0)


def _base_point() -> _Point:
    y = 4 * pow(5, -1, _P) % _P
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    x = x if x % 2 == 0 else _P - x
    return _Point(x, y, 1, x * y % _P)


def _powers() -> tuple[_Point, ...]:
    points = [_base_point()]
    while len(points) < 256:
        points.append(points[-1] + points[-1])
    return tuple(points)


class SigningKey:
    """A private key; raises ValueError when `seed` is not 32 bytes."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != _SEED_BYTES:
            raise ValueError(f"expected a seed of {_SEED_BYTES} bytes, was {len(seed)}")
        self._seed = seed
        self._doubled = _powers()
        digest = hashlib.sha512(seed).digest()
        self._scalar = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | (1 << 254)
        self._prefix = digest[32:]
        self.public_bytes = self._times_base(self._scalar).encoded()

    @property
    def pem(self) -> str:
        """The private key as PKCS #8, as every client reads it."""
        text = base64.b64encode(_PKCS8_PREFIX + self._seed).decode()
        return f"-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature."""
        nonce = _scalar_of(self._prefix + message)
        point = self._times_base(nonce).encoded()
        challenge = _scalar_of(point + self.public_bytes + message)
        return point + ((nonce + challenge * self._scalar) % _ORDER).to_bytes(32, "little")

    def accepts(self, signature: str, message: bytes) -> bool:
        """The base64 text is this key's signature of the message."""
        return hmac.compare_digest(signature.encode(errors="replace"), base64.b64encode(self.sign(message)))

    def _times_base(self, scalar: int) -> _Point:
        total = _NEUTRAL
        for bit in range(scalar.bit_length()):
            if scalar >> bit & 1:
                total = total + self._doubled[bit]
        return total


def _scalar_of(message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(message).digest(), "little") % _ORDER
