"""Errors that users see. Each message says the fact, an example and the remedy, in one line.

::

    CalibrantError
    ├── ModelError               the ONNX file cannot be used
    │   ├── AlreadyQuantizedError
    │   └── UnknownFamilyError   the outputs fit no known detector family
    ├── DataError                images, labels or calibration samples cannot be used
    │   ├── ImageError           a single image cannot be read
    │   └── ClassMismatchError   the model and the labels count classes differently
    ├── NumericsError            NaN or Inf where numbers are needed
    ├── EmptyStatisticsError     a range was asked of a tensor of which nothing was seen
    ├── RuntimeFailedError       a runtime refused a model or failed while running it
    ├── SettingsError            a setting, name or option does not exist or does not fit
    ├── OutputError              a result cannot be written
    └── StoreError               the store of runs cannot be used
"""

from __future__ import annotations


class CalibrantError(Exception):
    """Base of all errors that are the user's to mend; printed as one line, exit code 2."""


class ModelError(CalibrantError):
    """The ONNX file cannot be used."""


class AlreadyQuantizedError(ModelError):
    """The model already holds Q/DQ nodes."""


class UnknownFamilyError(ModelError):
    """The model's outputs fit no known family."""


class DataError(CalibrantError):
    """Images, labels or calibration samples cannot be used."""


class ImageError(DataError):
    """A single image cannot be read."""


class ClassMismatchError(DataError):
    """The model and the labels disagree about the classes."""


class NumericsError(CalibrantError):
    """NaN or Inf where finite numbers are needed."""


class EmptyStatisticsError(CalibrantError):
    """A range was asked of a tensor of which no value was seen."""


class RuntimeFailedError(CalibrantError):
    """A runtime refused a model, or failed while running it."""


class SettingsError(CalibrantError):
    """A setting, name or option does not exist or does not fit."""


class OutputError(CalibrantError):
    """A result cannot be written."""


class StoreError(CalibrantError):
    """The store of runs cannot be used."""
