"""The exchange as Alpaca's customers know it."""
