"""Who we are at Binance: an API key, and the secret that signs what we ask."""

import base64
import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from trading.errors import InvalidArgument

_PEM = "-----BEGIN"


class BinanceKey:
    """Signs with HMAC-SHA256 (hex), or with Ed25519 (base64) where the secret is a private key in PEM.

    Raises InvalidArgument for a PEM that holds no Ed25519 key.
    """

    def __init__(self, key_id: str, secret: SecretStr) -> None:
        text = secret.get_secret_value()
        self.key_id = key_id
        self._secret = text.encode()
        self._private = _private_key(text) if text.lstrip().startswith(_PEM) else None

    @property
    def opens_sessions(self) -> bool:
        """Only an Ed25519 key can log a whole connection on; with any other each request is signed by itself."""
        return self._private is not None

    def sign(self, payload: str) -> str:
        """The signature of a request's parameters as they are sent."""
        if self._private is not None:
            return base64.b64encode(self._private.sign(payload.encode())).decode()
        return hmac.new(self._secret, payload.encode(), hashlib.sha256).hexdigest()


def _private_key(text: str) -> Ed25519PrivateKey:
    pem = text.replace("\\n", "\n").encode()  # how a line break survives in an environment variable
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:  # TypeError: it is encrypted
        raise InvalidArgument("The Binance secret is no PEM private key that can be read.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidArgument(f"Expected an Ed25519 private key for Binance, was {type(key).__name__}.")
    return key
