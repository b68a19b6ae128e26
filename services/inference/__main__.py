"""Runs the inference service."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: for small tables two threads take longer than one

from fleet.service import main  # the line above must come first
from services.inference.settings import Settings
from services.inference.wiring import wire

if __name__ == "__main__":
    main("inference", Settings, wire)
