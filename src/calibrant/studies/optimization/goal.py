"""What an optimization was asked for, kept in its folder, so that it goes on without being asked again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from calibrant.artifacts.store import write_json
from calibrant.artifacts.versions import read_versioned
from calibrant.core.clock import Clock
from calibrant.core.errors import DataError
from calibrant.core.from_json import built
from calibrant.studies.optimization.search import Goal

GOAL = "goal.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class AskedFor:
    """A goal, the seconds that the search may take (None: no limit), and those that it has taken so far."""

    goal: Goal
    seconds: float | None
    spent: float = 0.0


def write_goal(goal: Goal, budget: Clock, folder: Path) -> None:
    """Keep what was asked for, and how far it is. Raises OutputError."""
    asked = AskedFor(goal, budget.budget, round(budget.spent, 1))
    write_json(folder / GOAL, {"schema_version": SCHEMA_VERSION, **asdict(asked)})


def read_goal(folder: Path) -> AskedFor:
    """What :func:`write_goal` kept. Raises DataError where it is missing or damaged."""
    remedy = "the same optimize command with --out goes on"
    try:
        return built(AskedFor, read_versioned(folder / GOAL, (SCHEMA_VERSION,), remedy))
    except (DataError, KeyError, TypeError) as error:
        raise DataError(f"{folder / GOAL} does not say what was asked for ({error}); {remedy}") from error
