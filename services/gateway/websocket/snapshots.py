"""What a client gets first: the state as it is, asked of the service that owns it."""

from neuraltrader.execution.v1 import execution_pb2
from neuraltrader.execution.v1 import execution_service_pb2 as execution_rpc
from neuraltrader.market_data.v1 import market_data_pb2
from neuraltrader.market_data.v1 import market_data_service_pb2 as market_rpc
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as portfolio_rpc
from services.gateway.backends import Backends
from services.gateway.schemas.book import account_view, position_list
from services.gateway.schemas.orders import order_view
from services.gateway.websocket.frames import Channel, Frame, Type, frame

WORKING = tuple(
    value
    for name, value in execution_pb2.OrderStatus.items()
    if name.removeprefix("ORDER_STATUS_") not in {"UNSPECIFIED", "DENIED", "REJECTED", "CANCELED", "EXPIRED", "FILLED"}
)
MOST_ORDERS = 1000


async def orders(fleet: Backends, account: str, cursor: int) -> Frame:
    """The working orders of an account."""
    request = execution_rpc.ListOrdersRequest(account=account, statuses=WORKING, page_size=MOST_ORDERS)
    answer = await fleet.execution.ListOrders(request)
    data = {
        "account": account,
        "orders": [order_view(order) for order in answer.orders],
        "is_complete": not answer.next_cursor,
    }
    return frame(Channel.ORDERS, account, data, fleet.clock.now_ns(), type=Type.SNAPSHOT, cursor=cursor)


async def positions(fleet: Backends, account: str, cursor: int) -> Frame:
    """The positions of an account."""
    answer = await fleet.portfolio.ListPositions(portfolio_rpc.ListPositionsRequest(account=account))
    data = position_list(account, answer)
    return frame(Channel.POSITIONS, account, data, answer.as_of_ns, type=Type.SNAPSHOT, cursor=cursor)


async def account(fleet: Backends, name: str, type: Type = Type.SNAPSHOT) -> Frame:
    """What an account is worth."""
    answer = await fleet.portfolio.GetAccount(portfolio_rpc.GetAccountRequest(account=name))
    return frame(Channel.ACCOUNT, name, account_view(answer.account), fleet.clock.now_ns(), type=type)


async def system(fleet: Backends) -> Frame:
    """The state of every venue's feed."""
    answer = await fleet.market_data.GetStats(market_rpc.GetStatsRequest())
    venues = [
        {"venue": venue.venue, "state": market_data_pb2.VenueState.Name(venue.state).removeprefix("VENUE_STATE_")}
        for venue in answer.venues
    ]
    data = {"event": "state", "venues": venues}
    return frame(Channel.SYSTEM, "", data, fleet.clock.now_ns(), type=Type.SNAPSHOT)
