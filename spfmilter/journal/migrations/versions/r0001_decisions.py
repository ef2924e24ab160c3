"""The first version: one row for each decision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NAME, _ADDRESS, _WORD, _LONG_WORD = sa.String(255), sa.String(45), sa.String(16), sa.String(32)


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "decision",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("host", _NAME, nullable=False),
        sa.Column("queue_id", _NAME),
        sa.Column("case_id", sa.String(14)),
        sa.Column("client", _ADDRESS),
        sa.Column("client_name", _NAME),
        sa.Column("relay", _ADDRESS),
        sa.Column("helo", _NAME),
        sa.Column("sender_local", _NAME),
        sa.Column("sender_domain", _NAME),
        sa.Column("authenticated", sa.SmallInteger, nullable=False),
        sa.Column("mailfrom_result", _WORD),
        sa.Column("mailfrom_condition", _WORD),
        sa.Column("mailfrom_problem", _LONG_WORD),
        sa.Column("helo_result", _WORD),
        sa.Column("helo_condition", _WORD),
        sa.Column("helo_problem", _LONG_WORD),
        sa.Column("decided_by", _WORD),
        sa.Column("term", sa.Text),
        sa.Column("term_domain", _NAME),
        sa.Column("problem_text", sa.Text),
        sa.Column("skip", _LONG_WORD),
        sa.Column("override", _LONG_WORD),
        sa.Column("override_by", _NAME),
        sa.Column("action", _WORD, nullable=False),
        sa.Column("would", _WORD),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("recipient_rules", sa.SmallInteger, nullable=False),
        sa.Column("ended", _WORD, nullable=False),
        sa.Column("lookups", sa.Integer, nullable=False),
        sa.Column("void_lookups", sa.Integer, nullable=False),
        sa.Column("elapsed", sa.Integer, nullable=False),
        sa.Column("answers", sa.LargeBinary),
    )
    op.create_index("decision_time", "decision", ["time"])
    for column in ("case_id", "queue_id"):
        there = sa.text(f"{column} IS NOT NULL")
        op.create_index(f"decision_{column}", "decision", [column], sqlite_where=there, postgresql_where=there)


def downgrade() -> None:
    """Remove the table, and all that it holds."""
    op.drop_table("decision")
