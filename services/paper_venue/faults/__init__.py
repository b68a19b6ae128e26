"""Scripted misfortune: what a test may let go wrong between the exchange and its customers."""
