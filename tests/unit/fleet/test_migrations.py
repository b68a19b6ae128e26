"""Revisions are named by their files, so that a current database is known without loading Alembic."""

from importlib import resources

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

PACKAGES = ["services.execution.migrations", "services.portfolio.migrations"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_revision_is_its_file_s_first_word(package: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(resources.files(package)))
    script = ScriptDirectory.from_config(config)
    files = {
        file.name.partition("_")[0]
        for file in resources.files(package).joinpath("versions").iterdir()
        if file.name[0].isdigit()
    }
    assert files == {revision.revision for revision in script.walk_revisions()}
    assert script.get_current_head() == max(files)
