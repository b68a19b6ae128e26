"""The exchange as Binance's spot customers know it."""
