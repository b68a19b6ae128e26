"""Choosing weights: the problem, what is refused before solving, the search, and the proof of the answer."""
