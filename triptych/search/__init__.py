"""Search: an index of embeddings of a specific model, on this machine or in PostgreSQL."""

from triptych.search.calibration import Calibration, LabelledVectors, calibrate
from triptych.search.contract import Index, IndexInfo, IndexSettings, Match
from triptych.search.opening import create_index, open_index
from triptych.search.where import parse_where

__all__ = [
    "Calibration",
    "Index",
    "IndexInfo",
    "IndexSettings",
    "LabelledVectors",
    "Match",
    "calibrate",
    "create_index",
    "open_index",
    "parse_where",
]
