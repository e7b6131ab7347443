"""How far an object has come on its way into proxies: what the condition Programmed tells."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The proxies that have a resource made from an object, and how many of them have taken its newest state.

    `rejected` are (resource, Envoy's words) of what some proxy has refused: nobody has the newest state of that.
    `silent` are the replicas of the control plane whose proxies are not counted, each with the reason.
    """

    acknowledged: int = 0
    total: int = 0
    rejected: tuple[tuple[str, str], ...] = ()
    silent: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every proxy that is concerned has taken it."""
        return self.acknowledged == self.total and not self.rejected and not self.silent

    def __add__(self, other: "Progress") -> "Progress":
        """The progress of two replicas, each of which has its own proxies, together."""
        return Progress(
            acknowledged=self.acknowledged + other.acknowledged,
            total=self.total + other.total,
            rejected=tuple(dict.fromkeys((*self.rejected, *other.rejected))),
            silent=(*self.silent, *other.silent),
        )
