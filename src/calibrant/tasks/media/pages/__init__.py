"""Labelled pages: images with the outlines of lines or words, and what is written in each."""

from __future__ import annotations

from calibrant.tasks.media.pages.labels import open_pages
from calibrant.tasks.media.pages.types import LabelledPages, PageSample, Region

__all__ = ["LabelledPages", "PageSample", "Region", "open_pages"]
