"""Values that several commands take: a name with its number, a choice in lower case."""

import argparse


def named_number(text: str) -> tuple[str, float]:
    """Such as AAPL=0.25; raises ArgumentTypeError for anything else."""
    name, equals, value = text.rpartition("=")
    try:
        if equals and name:
            return name, float(value)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no NAME=NUMBER")


def lower_word(text: str) -> str:
    """A choice as the contract spells it: max-sharpe is max_sharpe."""
    return text.lower().replace("-", "_")
