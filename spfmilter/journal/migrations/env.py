"""Alembic's entry: it runs the migrations on the connection that ``database.upgrade`` has opened."""

from __future__ import annotations

from alembic import context

from spfmilter.journal.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite changes a table only by making it anew
    version_table="spfmilter_schema",
)
with context.begin_transaction():
    context.run_migrations()
