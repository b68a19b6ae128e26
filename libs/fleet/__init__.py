"""How a service lives: settings, gRPC, NATS, database and telemetry, written once for the whole fleet."""
