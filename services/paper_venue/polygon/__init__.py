"""The exchange as Polygon's (Massive's) customers know it: a data vendor, without orders."""
