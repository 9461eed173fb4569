"""Oriented boxes, as the registry has them."""

from __future__ import annotations

from calibrant.tasks.detection.instances.definition import InstanceDefinition
from calibrant.tasks.detection.instances.oriented import Oriented

ORIENTED = InstanceDefinition(Oriented())
