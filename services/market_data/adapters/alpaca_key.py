"""Who we are at Alpaca, and by which name it knows our symbols."""

from dataclasses import dataclass

from pydantic import SecretStr

SPELLING = "alpaca"


@dataclass(frozen=True, slots=True)
class AlpacaKey:
    """A key id and its secret."""

    key_id: str
    secret: SecretStr

    def headers(self) -> dict[str, str]:
        """For the REST APIs."""
        return {"APCA-API-KEY-ID": self.key_id, "APCA-API-SECRET-KEY": self.secret.get_secret_value()}

    def login(self) -> dict[str, str]:
        """For the streams."""
        return {"action": "auth", "key": self.key_id, "secret": self.secret.get_secret_value()}
