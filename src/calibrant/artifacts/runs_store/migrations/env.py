"""What Alembic runs to migrate the connection that it was handed: :mod:`..migrating` opens and ends it."""

from __future__ import annotations

from alembic import context

from calibrant.artifacts.runs_store.migrating import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
with context.begin_transaction():
    context.run_migrations()
