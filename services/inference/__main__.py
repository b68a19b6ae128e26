"""Runs the inference service."""

from fleet.service import main
from services.inference.settings import Settings
from services.inference.wiring import wire

if __name__ == "__main__":
    main("inference", Settings, wire)
