"""The schema of the order log, as Alembic steps."""
