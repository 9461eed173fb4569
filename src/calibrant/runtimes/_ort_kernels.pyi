from collections.abc import Callable

__file__: str

def set_watcher(given: Callable[[int, memoryview], None], /) -> None: ...
