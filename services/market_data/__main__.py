"""Starts market_data: `python -m services.market_data`."""

from fleet.service import main
from services.market_data.settings import Settings
from services.market_data.wiring import wire

if __name__ == "__main__":
    main("market_data", Settings, wire)
