"""A training sized to a given time: the schedule follows the share of that time which is over."""

import time

RESERVE_SHARE, RESERVE_MOST = 0.1, 60.0  # of the time, and seconds: for the table of losses and the writing


class Clock:
    """`minutes` for all sittings of a training together, the present one having begun at `start` (time.monotonic).

    What is not training (reading the images, compiling) lessens the time left, and moves the schedule only as far as
    it does so: a training that starts late starts at the schedule's beginning and ends on time.
    """

    def __init__(self, minutes: float, start: float, trained: float = 0.0) -> None:
        """`trained`: the seconds of earlier sittings."""
        budget = 60 * minutes
        self.end = start + budget - min(RESERVE_SHARE * budget, RESERVE_MOST) - trained

    def share(self, trained: float) -> float:
        """The share of the schedule that is over after so many seconds of training in all: 0 to 1."""
        left = self.end - time.monotonic()
        return trained / (trained + left) if left > 0 else 1.0
