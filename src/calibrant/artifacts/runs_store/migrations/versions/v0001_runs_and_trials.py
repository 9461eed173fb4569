"""The first schema: runs, and the quantized models that each measured."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "calibrant_runs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("task", sa.String, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("model_path", sa.String, nullable=False),
        sa.Column("model_sha256", sa.String(64), nullable=False),
        sa.Column("family", sa.String, nullable=False),
        sa.Column("scheme", sa.String, nullable=False),
        sa.Column("runtime", sa.String, nullable=False),
        sa.Column("runtime_version", sa.String, nullable=False),
        sa.Column("device", sa.String),
        sa.Column("dataset", sa.String, nullable=False),
        sa.Column("test_ids_sha256", sa.String(64), nullable=False),
        sa.Column("test_images", sa.Integer, nullable=False),
        sa.Column("calibration_images", sa.Integer, nullable=False),
        sa.Column("float_map50_95", sa.Float, nullable=False),
        sa.Column("recommended", sa.String),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("folder", sa.String, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("environment", sa.JSON, nullable=False),
    )
    op.create_index("calibrant_runs_by_model", "calibrant_runs", ["model_sha256", "created"])
    op.create_index("calibrant_runs_by_time", "calibrant_runs", ["created"])
    op.create_table(
        "calibrant_trials",
        sa.Column("run_id", sa.String(64), sa.ForeignKey("calibrant_runs.id", ondelete="CASCADE"),
                  primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("reason", sa.String),
        sa.Column("same_as", sa.String),
        sa.Column("map50_95", sa.Float),
        sa.Column("map50", sa.Float),
        sa.Column("drop", sa.Float),
        sa.Column("drop_low", sa.Float),
        sa.Column("drop_high", sa.Float),
        sa.Column("images", sa.Integer),
        sa.Column("median_ms", sa.Float),
        sa.Column("is_tied", sa.Boolean, nullable=False),
    )  # fmt: skip
    op.create_index("calibrant_trials_by_key", "calibrant_trials", ["key"])
