"""Run by Alembic: migrate over the connection it was given, in that connection's transaction."""

from alembic import context

from airdock.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the caller's transaction is around everything
    render_as_batch=True,  # SQLite changes a table by making it anew
)
context.run_migrations()
