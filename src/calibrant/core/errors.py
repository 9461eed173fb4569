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
    ├── BaselineError            the float model itself cannot be compared with (exit code 4)
    └── StoreError               the store of runs cannot be used
"""

from __future__ import annotations

from calibrant.core.printable import printable

_LONGEST, _LONGEST_END = 1200, 300


class CalibrantError(Exception):
    """Base of all errors that are the user's to mend; printed as one line, exit code 2.

    Names from files may hold anything: what a terminal would obey is shown as escapes, and of a name without
    end the middle is left out, so that the remedy still stands at the end.
    """

    def __str__(self) -> str:
        words = printable(super().__str__())
        if len(words) <= _LONGEST:
            return words
        return f"{words[: _LONGEST - _LONGEST_END]} ... {words[-_LONGEST_END:]}"


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


class NothingQuantizedError(SettingsError):
    """A scheme quantizes nothing of a model."""


class OutputError(CalibrantError):
    """A result cannot be written."""


class BaselineError(CalibrantError):
    """The float model's own score is undefined or too low, so that nothing can be recommended."""


class StoreError(CalibrantError):
    """The store of runs cannot be used."""
