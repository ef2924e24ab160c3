"""The journal's schema, version by version. Alembic runs these files; ``database.upgrade`` starts it."""
