"""The calls that move a book to its target weights: translate, call, translate."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc

from fleet.rpc import Context
from neuraltrader.portfolio.v1 import rebalance_service_pb2 as pb
from neuraltrader.portfolio.v1 import rebalance_service_pb2_grpc as pb_grpc
from services.portfolio.ports import Rebalances
from services.portfolio.translate import rebalance
from services.portfolio.usecases.execute_rebalance import CancelRebalance, ExecuteRebalance, FindRebalance
from services.portfolio.usecases.propose_rebalance import ProposeRebalance
from services.portfolio.usecases.run_schedules import KeepSchedules
from services.portfolio.usecases.watch_rebalance import WatchRebalance

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["RebalanceService"].full_name


@dataclass(frozen=True, slots=True)
class RebalanceStories:
    """What the calls do."""

    propose: ProposeRebalance
    find: FindRebalance
    execute: ExecuteRebalance
    cancel: CancelRebalance
    watch: WatchRebalance
    schedules: KeepSchedules


class RebalanceRpc(pb_grpc.RebalanceServiceServicer):
    """RebalanceService over the use cases."""

    def __init__(self, stories: RebalanceStories, rebalances: Rebalances) -> None:
        self._stories = stories
        self._rebalances = rebalances

    def register(self, server: grpc.aio.Server) -> None:
        """Add this servicer to a server."""
        pb_grpc.add_RebalanceServiceServicer_to_server(self, server)

    async def ProposeRebalance(
        self, request: pb.ProposeRebalanceRequest, context: Context
    ) -> pb.ProposeRebalanceResponse:
        rules, optimize = rebalance.rules_of(request.rules), rebalance.optimize_of(request)
        made = await self._stories.propose(rules, optimize)
        return pb.ProposeRebalanceResponse(rebalance=rebalance.rebalance_message(made))

    async def GetRebalance(self, request: pb.GetRebalanceRequest, context: Context) -> pb.GetRebalanceResponse:
        found = await self._stories.find(request.id)
        return pb.GetRebalanceResponse(rebalance=rebalance.rebalance_message(found))

    async def ListRebalances(self, request: pb.ListRebalancesRequest, context: Context) -> pb.ListRebalancesResponse:
        limit = rebalance.page_limit_of(request)
        found = await self._rebalances.page(request.account, limit + 1, request.cursor)
        messages = map(rebalance.rebalance_message, found[:limit])
        return pb.ListRebalancesResponse(
            rebalances=messages, next_cursor=found[limit - 1].id if len(found) > limit else ""
        )

    async def ExecuteRebalance(
        self, request: pb.ExecuteRebalanceRequest, context: Context
    ) -> pb.ExecuteRebalanceResponse:
        started = await self._stories.execute(request.id)
        return pb.ExecuteRebalanceResponse(rebalance=rebalance.rebalance_message(started))

    async def CancelRebalance(self, request: pb.CancelRebalanceRequest, context: Context) -> pb.CancelRebalanceResponse:
        ending = await self._stories.cancel(request.id)
        return pb.CancelRebalanceResponse(rebalance=rebalance.rebalance_message(ending))

    async def WatchRebalance(
        self, request: pb.WatchRebalanceRequest, context: Context
    ) -> AsyncIterator[pb.WatchRebalanceResponse]:
        async for changed in self._stories.watch(request.id):
            yield pb.WatchRebalanceResponse(rebalance=rebalance.rebalance_message(changed))

    async def ListSchedules(self, request: pb.ListSchedulesRequest, context: Context) -> pb.ListSchedulesResponse:
        schedules = map(rebalance.schedule_message, await self._stories.schedules.all())
        return pb.ListSchedulesResponse(schedules=schedules)

    async def PutSchedule(self, request: pb.PutScheduleRequest, context: Context) -> pb.PutScheduleResponse:
        kept = await self._stories.schedules.put(rebalance.schedule_of(request.schedule))
        return pb.PutScheduleResponse(schedule=rebalance.schedule_message(kept))

    async def DeleteSchedule(self, request: pb.DeleteScheduleRequest, context: Context) -> pb.DeleteScheduleResponse:
        await self._stories.schedules.remove(request.account)
        return pb.DeleteScheduleResponse()
