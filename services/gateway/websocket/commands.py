"""What a client may say: authenticate, subscribe, unsubscribe, ping."""

from typing import Annotated

import msgspec

from services.gateway.websocket.frames import BY_ACCOUNT, BY_SYMBOL, Channel
from trading.errors import InvalidArgument

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Cursor = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,19}$")] | Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One channel: by symbol (all when none are named) or by account (all that the key may use)."""

    channel: Channel
    symbols: list[Name] | None = None
    accounts: list[Name] | None = None
    account: Name | None = None
    after: Cursor | None = None

    def names(self) -> list[str]:
        """What is named; raises InvalidArgument when the channel knows no such names."""
        accounts = [*(self.accounts or []), *([self.account] if self.account else [])]
        if self.symbols and self.channel not in BY_SYMBOL:
            raise InvalidArgument(f"The channel {self.channel.value!r} has no symbols.", channel=self.channel.value)
        if accounts and self.channel not in BY_ACCOUNT:
            raise InvalidArgument(f"The channel {self.channel.value!r} has no accounts.", channel=self.channel.value)
        return [*(self.symbols or []), *accounts]


class Command(msgspec.Struct, frozen=True, tag_field="op", forbid_unknown_fields=True):
    """Anything a client says; `id` comes back in the answer."""

    id: str | int | None = None


class Auth(Command, tag="auth", frozen=True):
    """Shows a key."""

    key: str = ""


class Subscribe(Command, tag="subscribe", frozen=True):
    """Follows channels; `after` stands for those durable ones that name none of their own."""

    channels: Annotated[list[Wish], msgspec.Meta(min_length=1, max_length=64)] = []
    after: Cursor | None = None


class Unsubscribe(Command, tag="unsubscribe", frozen=True):
    """Follows no longer; a channel without names is left whole."""

    channels: Annotated[list[Wish], msgspec.Meta(min_length=1, max_length=64)] = []


class Ping(Command, tag="ping", frozen=True):
    """Asks for a sign of life."""


AnyCommand = Auth | Subscribe | Unsubscribe | Ping
_DECODER: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


def parse(text: str) -> AnyCommand:
    """Read a command; raises InvalidArgument that says what was expected."""
    try:
        return _DECODER.decode(text)
    except msgspec.ValidationError as error:
        reason = "UNKNOWN_OP" if "`$.op`" in str(error) else "INVALID_ARGUMENT"
        raise InvalidArgument(str(error), reason=reason) from error
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise InvalidArgument("The message is no JSON.", reason="MALFORMED_MESSAGE") from error
