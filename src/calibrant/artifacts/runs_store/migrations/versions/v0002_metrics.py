"""Runs of any task: a metric with its direction, values and losses, and a row for every other figure."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_RENAMED = {
    "calibrant_runs": {"test_images": "test_samples", "calibration_images": "calibration_samples"},
    "calibrant_trials": {
        "map50_95": "value",
        "drop": "loss",
        "drop_low": "loss_low",
        "drop_high": "loss_high",
        "images": "samples",
    },
}
# What the first schema was of: it knew one task.
_METRIC = {"metric": "map50_95", "direction": "maximize", "unit": "points"}


def upgrade() -> None:
    """Rename what was named after detection, and move its second figure into a row of its own."""
    for table, names in _RENAMED.items():
        for before, after in names.items():
            op.execute(f'ALTER TABLE {table} RENAME COLUMN "{before}" TO "{after}"')
    for name, value in _METRIC.items():
        op.add_column("calibrant_runs", sa.Column(name, sa.String, nullable=False, server_default=value))
    op.add_column("calibrant_runs", sa.Column("decimals", sa.Integer, nullable=False, server_default="1"))
    op.add_column("calibrant_runs", sa.Column("float_value", sa.Float))
    op.execute("UPDATE calibrant_runs SET float_value = float_map50_95")
    op.execute("ALTER TABLE calibrant_runs DROP COLUMN float_map50_95")
    op.create_table(
        "calibrant_figures",
        sa.Column("run_id", sa.String(64), sa.ForeignKey("calibrant_runs.id", ondelete="CASCADE"),
                  primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("metric", sa.String, primary_key=True),
        sa.Column("value", sa.Float),
    )  # fmt: skip
    op.execute(
        "INSERT INTO calibrant_figures (run_id, position, metric, value) "
        "SELECT run_id, position, 'map50', map50 FROM calibrant_trials WHERE map50 IS NOT NULL"
    )
    op.execute("ALTER TABLE calibrant_trials DROP COLUMN map50")
