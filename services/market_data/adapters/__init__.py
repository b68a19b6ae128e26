"""The outside world behind the ports: the Alpaca protocol, NATS, the cache."""
