"""The stream at /v1/stream: one hub, a bounded queue and a writer for each client."""
