"""Runs the portfolio service."""

from fleet.service import main
from services.portfolio.settings import Settings
from services.portfolio.wiring import wire

if __name__ == "__main__":
    main("portfolio", Settings, wire)
