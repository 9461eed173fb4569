"""Instance segmentation, as the registry has it."""

from __future__ import annotations

from calibrant.tasks.detection.instances.definition import InstanceDefinition
from calibrant.tasks.detection.instances.masks import Masks

SEGMENTATION = InstanceDefinition(Masks())
