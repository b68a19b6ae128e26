"""Run by the Python of pandas' environment: the same points, the same eighteen features, the same model, as users do.

Arguments: the folder of the points, and the model's ONNX file.
"""

import json
import resource
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pandas as pd

RUNS = 7
ROWS_OF_A_RUN = 2048
TINY, CALM = 1e-9, 1e-3


def features(frame: pd.DataFrame) -> np.ndarray:
    """Columns per symbol by groupby; sizes are those that stand."""
    parts = []
    for _, own in frame.groupby("symbol", sort=False):
        price, volume = own["price"], own["volume"]
        x = 1e4 * np.log(price)
        r = x.diff().fillna(0.0)
        sign = np.sign(r).replace(0.0, np.nan).ffill().fillna(0.0)
        traded = (volume > 0).astype(float)

        def mean(column: pd.Series, span: int) -> pd.Series:
            return column.ewm(span=span, adjust=False).mean()

        square, gain = r * r, r.clip(lower=0.0)
        up, down = (column.ewm(alpha=1 / 14, adjust=False).mean() for column in (gain, gain - r))
        x32, x128 = mean(x, 32), mean(x, 128)
        deviation = mean((x - x32) ** 2, 32)
        slow = np.sqrt(mean(square, 128)) + CALM
        flat = pd.Series(0.0, own.index)
        parts.append(
            pd.DataFrame(
                {
                    "return_1": r,
                    "return_8": x.diff(8).fillna(0.0),
                    "return_32": x.diff(32).fillna(0.0),
                    "ema_32_distance": x - x32,
                    "ema_128_distance": x - x128,
                    "volatility_32": np.sqrt(mean(square, 32)),
                    "z_score_32": (x - x32) / (np.sqrt(deviation) + CALM),
                    "spread": 1e4 * (own["ask"] - own["bid"]) / price,
                    "quote_imbalance": flat,
                    "quote_imbalance_32": flat,
                    "quote_imbalance_128": flat,
                    "tick_imbalance_32": mean(sign * traded, 32) / (mean(traded, 32) + TINY),
                    "tick_imbalance_128": mean(sign * traded, 128) / (mean(traded, 128) + TINY),
                    "trades_per_tick_32": mean(traded, 32),
                    "rsi_14": (up + CALM) / (up + down + 2 * CALM),
                    "vwap_32_distance": 1e4 * (price / (mean(volume * price, 32) / (mean(volume, 32) + TINY)) - 1),
                    "trend_128": mean(r, 128) / slow,
                    "volatility_ratio": (np.sqrt(mean(square, 8)) + CALM) / slow,
                }
            )
        )
    return pd.concat(parts).sort_index().to_numpy(np.float32)


def main() -> None:
    """Whole runs, and the features alone."""
    folder, model = Path(sys.argv[1]), sys.argv[2]
    frame = pd.DataFrame({path.stem: np.load(path) for path in folder.glob("*.npy")})
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    times, alone = [], []
    for _ in range(RUNS):
        started = time.perf_counter()
        table = features(frame)
        alone.append((time.perf_counter() - started) * 1e3)
        answers = [
            session.run(None, {name: table[start : start + ROWS_OF_A_RUN]})[0]
            for start in range(0, len(table), ROWS_OF_A_RUN)
        ]
        logit = pd.Series(np.concatenate(answers)[:, 0]).groupby(frame["symbol"]).last()
        np.sign(logit)
        times.append((time.perf_counter() - started) * 1e3)
    found = {
        "value": round(statistics.median(times), 1),
        "features_ms": round(statistics.median(alone), 1),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    print(json.dumps(found))


main()
