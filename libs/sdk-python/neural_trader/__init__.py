"""The Python face of Neural Trader."""
