"""A process that answers one SQL question after another in a bounded memory, and ends with its parent."""

import errno
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import BinaryIO

import msgspec
import polars as pl

from services.market_data.adapters.arrow_frames import to_arrow, to_json
from services.market_data.adapters.history_files import HistoryFiles, again_when_merged
from services.market_data.adapters.history_tables import HistoryFrame, tables
from services.market_data.adapters.query_frames import HEADER, READY, Job, write_answer
from services.market_data.domain.sql import checked_sql
from services.market_data.ports import EncodedFrame
from trading.errors import InvalidArgument, Kind, ResourceExhausted, TradingError, Unavailable

_MESSAGE_LONGEST = 300
_MEGABYTE = 2**20
_NICE = 10


def answer(files: HistoryFiles, job: Job) -> EncodedFrame:
    """What a job asks for; raises InvalidArgument when it cannot run."""
    found = selected(files, job.sql, job.row_limit)
    return to_json(found) if job.as_json else to_arrow(found)


def selected(files: HistoryFiles, sql: str, row_limit: int) -> HistoryFrame:
    """The rows of a SELECT; raises InvalidArgument when it cannot run."""
    try:
        checked = checked_sql(sql)
        frame = again_when_merged(lambda: _collected(files, checked, row_limit + 1))
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().partition("\n")[0][:_MESSAGE_LONGEST]
        raise InvalidArgument(f"The query cannot run: {reason}", field="sql") from error
    except FileNotFoundError as error:
        raise Unavailable("The history was merged while it was read; try again.", retry_after_s=1) from error
    return HistoryFrame(frame.head(row_limit), len(frame) > row_limit)


def _collected(files: HistoryFiles, sql: str, rows_most: int) -> pl.DataFrame:
    return pl.SQLContext(tables(files)).execute(sql).head(rows_most).collect(engine="streaming")


def serve(source: BinaryIO, target: BinaryIO, files: HistoryFiles) -> None:
    """Answer until the source ends."""
    while len(header := source.read(HEADER.size)) == HEADER.size:
        job = msgspec.msgpack.decode(source.read(HEADER.unpack(header)[0]), type=Job)
        _end_after(job.timeout_s)
        write_answer(target, _tried(files, job))
        _end_after(0)


def _tried(files: HistoryFiles, job: Job) -> EncodedFrame | TradingError:
    try:
        return answer(files, job)
    except TradingError as error:
        return error
    except BaseException as error:  # the process boundary: the engine's panics are no Exception, and must not pass it
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return ResourceExhausted("The query needs more memory than it may use.", reason="QUERY_MEMORY")
        traceback.print_exc()
        return TradingError(Kind.INTERNAL, "QUERY_FAILED", "The query failed; the reason was logged.")


def _end_after(seconds: float) -> None:
    """The process is killed by its own alarm when the parent is no longer there to do it; 0 takes it back."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _bound_memory(megabytes: int) -> None:
    """Let the process grow by so much from here; asking for more fails, or ends it."""
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + megabytes * _MEGABYTE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Serve on stdin and stdout: `query_worker <folder> <megabytes>`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the pipe
    if sys.platform != "win32":
        os.nice(_NICE)  # a question about the past waits for the market, not the other way round
    pl.LazyFrame({"one": [1]}).collect(engine="streaming")  # its threads start before the memory is bounded
    _bound_memory(int(sys.argv[2]))
    target = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever prints must not break an answer
    target.write(READY)
    target.flush()
    serve(sys.stdin.buffer, target, HistoryFiles(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
