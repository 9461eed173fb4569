from calibrant.core.clock import Clock


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_budget_is_spent_from_the_beginning_on() -> None:
    time = Time()
    clock = Clock(10, time)
    assert clock.allows()
    assert clock.allows(9)
    assert not clock.allows(11)
    time.now += 5
    assert not clock.allows(6)
    assert clock.allows(share=0.6)
    assert not clock.allows(share=0.4)
    time.now += 5
    assert not clock.allows()


def test_a_budget_runs_out_by_shares() -> None:
    time = Time()
    clock = Clock(10, time)
    half = clock.until(0.5)
    time.now += 4
    assert half()
    time.now += 2
    assert not half()
    assert clock.spent == 6


def test_without_a_budget_everything_is_allowed() -> None:
    assert Clock().allows(1e9)
    assert Clock().until(0.0)()


def test_parts_are_timed_also_when_they_fail() -> None:
    time = Time()
    clock = Clock(None, time)
    for _ in range(2):
        try:
            with clock.part("work"):
                time.now += 2
                raise ValueError
        except ValueError:
            pass
    assert clock.seconds == {"work": 4.0}
