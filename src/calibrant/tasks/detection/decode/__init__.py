"""Output decoders: from a model's raw outputs to candidate boxes. One file for each group of families.

``DECODERS`` is the table of all of them, by the name that a YAML profile gives.
"""

from __future__ import annotations

from collections.abc import Mapping

from calibrant.tasks.detection.decode.candidates import Candidates, Decoder, Frame
from calibrant.tasks.detection.decode.centres import CentreMap
from calibrant.tasks.detection.decode.distributions import DistributionGrid
from calibrant.tasks.detection.decode.finished import FinalLists, FinalRows, ScoredBoxes
from calibrant.tasks.detection.decode.maps import AnchorMaps, FastestDetMap
from calibrant.tasks.detection.decode.points import PointDistances
from calibrant.tasks.detection.decode.priors import PriorBoxes
from calibrant.tasks.detection.decode.queries import Queries
from calibrant.tasks.detection.decode.rows import Rows, YoloxGrid

DECODERS: Mapping[str, type[Decoder]] = {
    "rows": Rows,
    "yolox-grid": YoloxGrid,
    "anchor-maps": AnchorMaps,
    "fastestdet-map": FastestDetMap,
    "distribution-grid": DistributionGrid,
    "prior-boxes": PriorBoxes,
    "point-distances": PointDistances,
    "centre-map": CentreMap,
    "queries": Queries,
    "final-rows": FinalRows,
    "final-lists": FinalLists,
    "scored-boxes": ScoredBoxes,
}

__all__ = ["DECODERS", "Candidates", "Decoder", "Frame"]
