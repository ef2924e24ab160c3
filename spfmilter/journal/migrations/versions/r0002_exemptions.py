"""The temporary exemptions, and the number that each change of them counts up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_NAME = sa.String(255)


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "exemption",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("network", sa.String(49)),
        sa.Column("domain", _NAME),
        sa.Column("forwarder", _NAME),
        sa.Column("forwarder_spf", _NAME),
        sa.Column("added", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger),
        sa.Column("added_by", _NAME),
        sa.Column("because", sa.Text),
        sa.Column("removed", sa.BigInteger),
        sa.Column("removed_by", _NAME),
    )
    version = op.create_table(
        "exemption_version",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(version, [{"id": 1, "version": 0}])


def downgrade() -> None:
    """Remove both tables, and all exemptions."""
    op.drop_table("exemption_version")
    op.drop_table("exemption")
