"""The customer's Ed25519 key: made from a seed, shown as PEM, checked against what the customer signed."""

import base64

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


class SigningKey:
    """A private key; raises ValueError when `seed` is not 32 bytes."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._private.public_key()

    @property
    def public_bytes(self) -> bytes:
        """The 32 bytes of the public key."""
        return self._public.public_bytes_raw()

    @property
    def pem(self) -> str:
        """The private key as PKCS #8, as every client reads it."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature."""
        return self._private.sign(message)

    def accepts(self, signature: str, message: bytes) -> bool:
        """The base64 text is this key's signature of the message."""
        try:
            self._public.verify(base64.b64decode(signature, validate=True), message)
        except (InvalidSignature, ValueError):  # ValueError: no base64
            return False
        return True
