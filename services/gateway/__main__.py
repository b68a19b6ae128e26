"""Starts the gateway: `python -m services.gateway`."""

from fleet.service import main
from services.gateway.settings import Settings
from services.gateway.wiring import wire

if __name__ == "__main__":
    main("gateway", Settings, wire)
