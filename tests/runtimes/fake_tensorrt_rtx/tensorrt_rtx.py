"""A stand-in for NVIDIA's package: the few calls that the worker makes. The model file says what happens."""

from __future__ import annotations

import enum
import os
import signal
import time
from pathlib import Path

__version__ = "1.7.1-stand-in"
if os.environ.get("RTX_DOES_NOT_LOAD"):
    raise ImportError("libcudart.so.13: cannot open shared object file")


class ILogger:
    class Severity(enum.IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2

    def __init__(self) -> None:
        pass

    def log(self, severity: Severity, message: str) -> None:
        raise NotImplementedError


class Tensor:
    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self.name, self.shape = name, shape


class Network:
    def __init__(self) -> None:
        self.word = ""
        self.inputs: list[Tensor] = []

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    def get_input(self, index: int) -> Tensor:
        return self.inputs[index]


class ParserError:
    def desc(self) -> str:
        return "Assertion failed: shiftIsAllZeros(zeroPoint):\nNon-zero zero point is not supported."


class OnnxParser:
    num_errors = 1

    def __init__(self, network: Network, logger: ILogger) -> None:
        self._network = network

    def parse_from_file(self, path: str) -> bool:
        self._network.word = Path(path).read_text()
        dynamic = self._network.word.startswith("dynamic")
        self._network.inputs = [Tensor("images", (-1, 3, -1, -1) if dynamic else (1, 3, 64, 64))]
        os.write(1, b"the library talks on standard output\n")
        return self._network.word != "zero point"

    def get_error(self, index: int) -> ParserError:
        return ParserError()


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, list[int]] = {}

    def set_shape(self, name: str, low: list[int], best: list[int], high: list[int]) -> None:
        assert low == best == high
        self.shapes[name] = best


class Config:
    def __init__(self) -> None:
        self.profiles: list[Profile] = []

    def add_optimization_profile(self, profile: Profile) -> None:
        self.profiles.append(profile)


class Engine:
    nbytes = 1234


class Builder:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def create_network(self, flags: int) -> Network:
        assert flags == 0
        return Network()

    def create_builder_config(self) -> Config:
        return Config()

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: Config) -> Engine | None:
        if network.word in ("no kernel", "dynamic, no kernel"):
            self._logger.log(ILogger.Severity.WARNING, "slow")
            self._logger.log(ILogger.Severity.ERROR, "Could not find any implementation for node Conv_7")
            return None
        if network.word == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if network.word == "hang":
            time.sleep(60)
        assert bool(config.profiles) == network.word.startswith("dynamic")
        return Engine()
