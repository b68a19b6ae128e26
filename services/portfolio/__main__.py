"""Runs the portfolio service."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is imported: its threads would spin beside ours

from fleet.service import main
from services.portfolio.settings import Settings
from services.portfolio.wiring import wire

if __name__ == "__main__":
    main("portfolio", Settings, wire)
