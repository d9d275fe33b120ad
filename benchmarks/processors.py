"""The processors of a simulated machine, shared by who needs them now."""

from typing import Generic
from typing import TypeVar

User = TypeVar("User")


class Processors(Generic[User]):
    """Some processors; each user has its fair part of them, and no more.

    A user that cannot keep its part busy leaves the rest to the others.

    Args:
        num_processors: How many there are.
        speed: Processor-seconds that each gives in a second.
    """

    def __init__(self, num_processors: int, speed: float = 1.0) -> None:
        self._num_processors, self._speed = num_processors, speed
        self._since = 0.0
        # By place in a list, since few share: user, what it still needs in
        # processor-seconds, and how many processors it can keep busy.
        self._users: list[tuple[User, float, float]] = []
        self.version = 0  # Of who uses them.

    def add(self, now: float, user: User, size: float, most: float) -> None:
        """Has a user begin.

        Args:
            now: Seconds.
            user: Whoever it is.
            size: Processor-seconds that it needs.
            most: Processors that it keeps busy at most.
        """
        self._advance(now)
        self._users.append((user, size, most))

    def remove(self, now: float, user: User) -> float:
        """Has a user end, and returns the processor-seconds it still needs."""
        self._advance(now)
        for place, (other, left, _) in enumerate(self._users):
            if other is user:
                del self._users[place]
                return left
        return 0.0

    def next_end(self) -> tuple[float, User, int] | None:
        """Returns when which user has what it needs, if nothing changes.

        Returns:
            Seconds, the user, and the version for which this holds; `None`
            where there is no user.
        """
        if not self._users:
            return None
        seconds, place = min(
            (left / rate, place)
            for place, ((_, left, _), rate) in enumerate(
                zip(self._users, self._rates(), strict=True)
            )
        )
        return self._since + seconds, self._users[place][0], self.version

    def _advance(self, now: float) -> None:
        passed = now - self._since
        self._users = [
            (user, max(left - rate * passed, 0.0), most)
            for (user, left, most), rate in zip(
                self._users, self._rates(), strict=True
            )
        ]
        self._since = now
        self.version += 1

    def _rates(self) -> list[float]:
        """Returns the processor-seconds a second of each user."""
        rates = [0.0] * len(self._users)
        left = float(self._num_processors)
        order = sorted(range(len(rates)), key=lambda n: self._users[n][2])
        for number, place in enumerate(order):
            part = min(self._users[place][2], left / (len(order) - number))
            rates[place] = part * self._speed
            left -= part
        return rates
