"""Turns ticks into predictions and signals."""
