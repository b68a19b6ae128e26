"""Bring a database's schema to the newest revision of a service, by Alembic."""

from importlib import resources
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def upgrade(connection: Connection, migrations: str) -> None:
    """Run every newer revision of the package `migrations` inside the given transaction."""
    config = Config()
    config.set_main_option("script_location", str(resources.files(migrations)))
    script = ScriptDirectory.from_config(config)

    def revisions(current: Any, _context: Any) -> Any:
        return script._upgrade_revs("head", current)  # the same call that `alembic upgrade head` makes

    with EnvironmentContext(config, script, fn=revisions, destination_rev="head") as environment:
        environment.configure(connection=connection, transactional_ddl=False)
        environment.run_migrations()
