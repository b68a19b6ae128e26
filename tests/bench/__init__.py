"""Benchmarks: each measures one claim, beside a floor or a peer in the same run."""
