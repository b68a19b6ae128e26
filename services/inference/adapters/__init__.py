"""What inference reaches outside itself: models on disk, ONNX Runtime, NATS, market_data."""
