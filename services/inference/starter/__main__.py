"""Makes a starter model from simulated markets. The shipped ones came, byte for byte, from these four:

    python -m services.paper_venue export --seed 1 --seconds 7200 --out bursts.parquet
    python -m services.paper_venue export --seed 2 --seconds 7200 --no-edge --out calm.parquet
    python -m services.inference.starter --market bursts.parquet --market calm.parquet \\
        --out services/inference/models/momentum-v1/1
    python -m services.inference.starter --market bursts.parquet --market calm.parquet --architecture tcn \\
        --out services/inference/models/neural-momentum-v1/1
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from services.inference.starter.files import write
from services.inference.starter.fit import STARTERS, fit
from services.inference.starter.market import read_market

DEFAULT_HORIZON_MS = 500


def main(argv: Sequence[str] | None = None) -> int:
    """Read, fit, judge, write; progress on stderr."""
    asked = _parser().parse_args(argv)
    started = time.perf_counter()
    markets = [read_market(file) for file in asked.market]
    horizon_ns = asked.horizon_ms * 1_000_000
    judged = fit(markets, horizon_ns, asked.architecture, asked.seed, _say)
    write(asked.out, judged, markets, horizon_ns, asked.seed)
    _say(f"wrote {asked.out} after {time.perf_counter() - started:.1f} s")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.inference.starter",
        description="Trains the starter model on simulated markets and judges it on held-out time.",
    )
    parser.add_argument(
        "--market",
        type=Path,
        action="append",
        required=True,
        metavar="FILE",
        help="quotes; trades in FILE's -trades twin",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="directory named <name>/<version>")
    parser.add_argument(
        "--horizon-ms", type=int, default=DEFAULT_HORIZON_MS, metavar="MS", help="how far ahead it looks"
    )
    parser.add_argument("--architecture", choices=sorted(STARTERS), default="mlp", help="kind of network (default mlp)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of weights and batches")
    return parser


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
