"""What `ntrader` can ask a running gateway for."""
