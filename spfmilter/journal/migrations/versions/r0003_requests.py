"""The requests of refused senders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_NAME, _WORD = sa.String(255), sa.String(16)


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "sender_request",
        sa.Column("case_id", sa.String(14), primary_key=True),
        sa.Column("asked", sa.BigInteger, nullable=False),
        sa.Column("ends", sa.BigInteger, nullable=False),
        sa.Column("address", sa.String(45), nullable=False),
        sa.Column("identity", _WORD, nullable=False),
        sa.Column("domain", _NAME, nullable=False),
        sa.Column("result", _WORD, nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("answer_to", _NAME, nullable=False),
        sa.Column("language", sa.String(35)),
        sa.Column("mailed", sa.BigInteger),
        sa.Column("state", _WORD, nullable=False),
        sa.Column("answered", sa.BigInteger),
        sa.Column("answered_by", _NAME),
        sa.Column("answer", sa.Text),
        sa.Column("until", sa.BigInteger),
        sa.Column("exemption", _WORD),
    )


def downgrade() -> None:
    """Remove the table, and all requests."""
    op.drop_table("sender_request")
