"""Every parser of ours with what it is fed and what must hold: one :class:`Target` each."""

from __future__ import annotations

from targets.base import Target
from targets.caches import CACHES
from targets.checkpoints import CHECKPOINTS
from targets.folders import FOLDERS
from targets.images import IMAGES
from targets.labels import LABELS
from targets.models import MODELS
from targets.runs import RUNS
from targets.settings import SETTINGS
from targets.tasks import TASKS

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (*CACHES, *LABELS, *SETTINGS, *MODELS, *IMAGES, *RUNS, *FOLDERS, *CHECKPOINTS, *TASKS)
}
