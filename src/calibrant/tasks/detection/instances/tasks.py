"""The tasks of instances, as the registry has them."""

from __future__ import annotations

from calibrant.tasks.detection.instances.definition import InstanceDefinition
from calibrant.tasks.detection.instances.keypoints import Keypoints
from calibrant.tasks.detection.instances.masks import Masks
from calibrant.tasks.detection.instances.oriented import Oriented

SEGMENTATION = InstanceDefinition(Masks())
KEYPOINTS = InstanceDefinition(Keypoints())
ORIENTED = InstanceDefinition(Oriented())
