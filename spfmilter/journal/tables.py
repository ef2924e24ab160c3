"""The table of the journal, for SQLAlchemy Core. A change here needs a new file in ``migrations/versions``."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, SmallInteger, String, Table, Text

from spfmilter.journal.rows import NAME_LIMIT

METADATA = MetaData()
_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in a column of this type

DECISION = Table(
    "decision",
    METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("time", BigInteger, nullable=False),
    Column("host", String(NAME_LIMIT), nullable=False),
    Column("queue_id", String(NAME_LIMIT)),
    Column("case_id", String(14)),
    Column("client", String(45)),
    Column("client_name", String(NAME_LIMIT)),
    Column("relay", String(45)),
    Column("helo", String(NAME_LIMIT)),
    Column("sender_local", String(NAME_LIMIT)),
    Column("sender_domain", String(NAME_LIMIT)),
    Column("authenticated", SmallInteger, nullable=False),
    Column("mailfrom_result", String(16)),
    Column("mailfrom_condition", String(16)),
    Column("mailfrom_problem", String(32)),
    Column("helo_result", String(16)),
    Column("helo_condition", String(16)),
    Column("helo_problem", String(32)),
    Column("decided_by", String(16)),
    Column("term", Text),
    Column("term_domain", String(NAME_LIMIT)),
    Column("problem_text", Text),
    Column("skip", String(32)),
    Column("override", String(32)),
    Column("override_by", String(NAME_LIMIT)),
    Column("action", String(16), nullable=False),
    Column("would", String(16)),
    Column("rule", Text, nullable=False),
    Column("recipient_rules", SmallInteger, nullable=False),
    Column("ended", String(16), nullable=False),
    Column("lookups", Integer, nullable=False),
    Column("void_lookups", Integer, nullable=False),
    Column("elapsed", Integer, nullable=False),
    Column("answers", LargeBinary),
    Index("decision_time", "time"),
)

# The temporary exemptions (``spfmilter.exemptions``), in the PostgreSQL that several hosts share or in a file of their
# own.
EXEMPTION = Table(
    "exemption",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("network", String(49)),
    Column("domain", String(NAME_LIMIT)),
    Column("forwarder", String(NAME_LIMIT)),
    Column("forwarder_spf", String(NAME_LIMIT)),
    Column("added", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("added_by", String(NAME_LIMIT)),
    Column("because", Text),
    Column("removed", BigInteger),
    Column("removed_by", String(NAME_LIMIT)),
)
# One row. Each change of the exemptions counts it up, and so waits for the one before: who reads sees all of them.
EXEMPTION_VERSION = Table(
    "exemption_version",
    METADATA,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
)
# What refused senders have asked (``spfmilter.requests``), in the same database, or in another file of its own.
SENDER_REQUEST = Table(
    "sender_request",
    METADATA,
    Column("case_id", String(14), primary_key=True),
    Column("asked", BigInteger, nullable=False),
    Column("ends", BigInteger, nullable=False),
    Column("address", String(45), nullable=False),
    Column("identity", String(16), nullable=False),
    Column("domain", String(NAME_LIMIT), nullable=False),
    Column("result", String(16), nullable=False),
    Column("sentence", Text, nullable=False),
    Column("answer_to", String(NAME_LIMIT), nullable=False),
    Column("language", String(35)),
    Column("mailed", BigInteger),
    Column("state", String(16), nullable=False),
    Column("answered", BigInteger),
    Column("answered_by", String(NAME_LIMIT)),
    Column("answer", Text),
    Column("until", BigInteger),
    Column("exemption", String(16)),
)
for _name in ("case_id", "queue_id"):  # most rows have none or only one of them
    _there = DECISION.c[_name].is_not(None)
    Index(f"decision_{_name}", DECISION.c[_name], sqlite_where=_there, postgresql_where=_there)
