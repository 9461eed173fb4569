"""What a report shows of detectors: how detections change, and the images that changed most."""

from __future__ import annotations

from calibrant.reports.tasks.detection.detections import detections
from calibrant.reports.tasks.detection.images import images
from calibrant.reports.tasks.detection.lines import difference_lines

SECTIONS = (detections, images)

__all__ = ["SECTIONS", "difference_lines"]
