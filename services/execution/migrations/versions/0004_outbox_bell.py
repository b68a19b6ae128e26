"""On Postgres, tell whoever listens of every row that comes into the outbox."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_FUNCTION = """
CREATE FUNCTION ring_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('execution_outbox', max(log_sequence)::text) FROM added HAVING count(*) > 0;
    RETURN NULL;
END $$
"""
_TRIGGER = """
CREATE TRIGGER outbox_bell AFTER INSERT ON outbox REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION ring_outbox()
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_FUNCTION)
        op.execute(_TRIGGER)
