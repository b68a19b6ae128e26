"""Alembic revisions of the portfolio's database."""
