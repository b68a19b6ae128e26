"""`python -m neural_trader`: the same as `ntrader`."""

from neural_trader.cli import main

if __name__ == "__main__":
    main()
