"""`python -m services.execution`."""

from fleet.service import main
from services.execution.settings import Settings
from services.execution.wiring import wire

if __name__ == "__main__":
    main("execution", Settings, wire)
