"""Shapes of what is asked for: an order, and a change of one."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc
from services.gateway.schemas.scalars import Amount, NameText, NanosecondsIn, Percent, Request, SymbolText

ClientOrderId = Annotated[str, Field(min_length=1, max_length=64, pattern="^[A-Za-z0-9._-]+$")]


class OrderRequest(Request):
    """An order to submit."""

    symbol: SymbolText = Field(description="Any spelling.")
    side: Literal["BUY", "SELL"]
    quantity: Amount
    order_type: Literal["MARKET", "LIMIT", "STOP", "STOP_LIMIT", "TRAILING_STOP"]
    price: Amount | None = Field(None, description="Limit price; a STOP may carry its trigger here.")
    stop_price: Amount | None = Field(None, description="Trigger of a STOP or STOP_LIMIT.")
    time_in_force: Literal["DAY", "GTC", "IOC", "FOK", "GTD"] = "DAY"
    account: NameText = "main"
    client_order_id: ClientOrderId | None = Field(None, description="Idempotency key, for ever.")
    timestamp_ns: NanosecondsIn | None = Field(None, description="The caller's own time; never used for latency.")
    trail_price: Amount | None = Field(None, description="Distance of a TRAILING_STOP as a price.")
    trail_percent: Percent | None = Field(None, description="Distance of a TRAILING_STOP in percent of the price.")
    expire_time_ns: NanosecondsIn | None = Field(None, description="When a GTD order ends.")
    reduce_only: bool = Field(default=False, description="It only ever shrinks a position.")
    post_only: bool = Field(default=False, description="LIMIT only: it only ever rests in the book.")
    take_profit: Amount | None = Field(None, description="Bracket: limit price that closes the position with a profit.")
    stop_loss: Amount | None = Field(None, description="Bracket: stop price that closes the position with a loss.")

    def message(self, idempotency_key: str | None, wait: str | None, wait_ms: int) -> rpc.SubmitOrderRequest:
        """The order as the fleet's message; the key stands in for a missing client order id."""
        return rpc.SubmitOrderRequest(
            symbol=self.symbol,
            side=pb.Side.Value(f"SIDE_{self.side}"),
            order_type=pb.OrderType.Value(f"ORDER_TYPE_{self.order_type}"),
            quantity_nanos=self.quantity,
            price_nanos=self.price,
            stop_price_nanos=self.stop_price,
            time_in_force=pb.TimeInForce.Value(f"TIME_IN_FORCE_{self.time_in_force}"),
            account=self.account,
            client_order_id=self.client_order_id or idempotency_key or "",
            client_timestamp_ns=self.timestamp_ns,
            wait=pb.Wait.Value(f"WAIT_{wait.upper()}") if wait else pb.Wait.WAIT_UNSPECIFIED,
            wait_ms=wait_ms,
            expire_time_ns=self.expire_time_ns,
            trail_nanos=self.trail_price,
            trail_bps=self.trail_percent,
            reduce_only=self.reduce_only,
            post_only=self.post_only,
            take_profit_nanos=self.take_profit,
            stop_loss_nanos=self.stop_loss,
        )


class ModifyRequest(Request):
    """At least one of them; what is null or left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    quantity: Amount | None = Field(None, description="The whole quantity, fills included.")
    price: Amount | None = Field(None, description="Limit price.")
    stop_price: Amount | None = Field(None, description="Trigger.")

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.quantity is None and self.price is None and self.stop_price is None:
            raise PydanticCustomError("no_change", "Expected a quantity, price or stop_price to change.")
        return self

    def message(self, order_id: str) -> rpc.ModifyOrderRequest:
        """The change as the fleet's message."""
        return rpc.ModifyOrderRequest(
            order_id=order_id,
            quantity_nanos=self.quantity,
            price_nanos=self.price,
            stop_price_nanos=self.stop_price,
        )
