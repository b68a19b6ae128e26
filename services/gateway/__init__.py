"""The door of the fleet: REST and WebSocket outside, gRPC and NATS inside."""
