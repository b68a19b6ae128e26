"""execution: a submit to its reply, the durable append, orders a second, memory of closed orders."""

from tests.bench.execution_append import append_postgres, append_sqlite
from tests.bench.execution_memory import memory_per_order
from tests.bench.execution_orders import submit_reply, throughput

PARTS = {
    "execution.submit_reply": submit_reply,
    "execution.append_sqlite": append_sqlite,
    "execution.append_postgres": append_postgres,
    "execution.throughput": throughput,
    "execution.memory_per_order": memory_per_order,
}
