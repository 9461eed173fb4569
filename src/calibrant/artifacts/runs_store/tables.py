"""The store's tables. They are made and changed by the revisions in migrations/versions only.

Their names begin with ``calibrant_``, so that a team's database may hold other programs' tables too.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
)
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """An aware time; SQLite, which knows no time zones, keeps it as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """To UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """From what the database gives: UTC, or aware in a zone of its own."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


METADATA = MetaData()

RUNS = Table(
    "calibrant_runs",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("kind", String, nullable=False),
    Column("task", String, nullable=False),
    Column("created", Moment, nullable=False),
    Column("model", String, nullable=False),
    Column("model_path", String, nullable=False),
    Column("model_sha256", String(64), nullable=False),
    Column("family", String, nullable=False),
    Column("scheme", String, nullable=False),
    Column("runtime", String, nullable=False),
    Column("runtime_version", String, nullable=False),
    Column("device", String),
    Column("dataset", String, nullable=False),
    Column("test_ids_sha256", String(64), nullable=False),
    Column("test_samples", Integer, nullable=False),
    Column("calibration_samples", Integer, nullable=False),
    Column("metric", String, nullable=False),
    Column("direction", String, nullable=False),
    Column("unit", String, nullable=False),
    Column("decimals", Integer, nullable=False),
    Column("float_value", Float),
    Column("recommended", String),
    Column("host", String, nullable=False),
    Column("folder", String, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("environment", JSON, nullable=False),
    Index("calibrant_runs_by_model", "model_sha256", "created"),
    Index("calibrant_runs_by_time", "created"),
)

TRIALS = Table(
    "calibrant_trials",
    METADATA,
    Column("run_id", String(64), ForeignKey("calibrant_runs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("name", String, nullable=False),
    Column("status", String, nullable=False),
    Column("key", String(64), nullable=False),
    Column("reason", String),
    Column("same_as", String),
    Column("value", Float),
    Column("loss", Float),
    Column("loss_low", Float),
    Column("loss_high", Float),
    Column("samples", Integer),
    Column("median_ms", Float),
    Column("is_tied", Boolean, nullable=False),
    Index("calibrant_trials_by_key", "key"),
)

FIGURES = Table(
    "calibrant_figures",
    METADATA,
    Column("run_id", String(64), ForeignKey("calibrant_runs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("metric", String, primary_key=True),
    Column("value", Float),
)
"""What a task tells beside its metric, a row for each figure of each trial."""
