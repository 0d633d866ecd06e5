"""How the metadata database comes from one version to the next: Alembic's scripts, shipped with the package."""
