"""Tells a picker what it has asked to be told about the members of its pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..interfaces import (
    ICapacityObserver,
    IConfigurationObserver,
    IFailureReporter,
    ILatencyObserver,
    ILoadObserver,
    IMembershipObserver,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..interfaces import IBackendPicker
    from ..words.backend import Member

    PickerFailed = Callable[[object, str], object]


class InformedPicker:
    """
    A picker, and which of the observers of members it provides besides.

    What it raises when it is told something goes to C{failed}: it must not stop what
    the pool is doing.

    @ivar followsLoad: Whether it is told of each lease and its release.
    @ivar followsLatency: Whether it is told how long members take to answer.
    """

    def __init__(
        self, picker: IBackendPicker, failed: PickerFailed | None = None
    ) -> None:
        """
        @param failed: Called within the handling of an exception of the picker, with
            what has raised it, the picker or code that it calls, and the name of the
            method.  L{None} raises the exception.
        """
        self._picker = picker
        self._failed = failed
        self._membership = _as(IMembershipObserver, picker)
        self._capacity = _as(ICapacityObserver, picker)
        self._load = _as(ILoadObserver, picker)
        self._configuration = _as(IConfigurationObserver, picker)
        self._latency = _as(ILatencyObserver, picker)
        self.followsLoad = self._load is not None
        self.followsLatency = self._latency is not None
        if failed is not None and IFailureReporter.providedBy(picker):
            self._tell(picker, "reportTo", failed)

    def configured(self, members: Sequence[Member]) -> None:
        """These are all members of the pool now."""
        if self._configuration is not None:
            self._tell(self._configuration, "configured", members)

    def added(self, members: Iterable[Member]) -> None:
        """These members may be picked from now on, unless they are full."""
        if self._membership is not None:
            for member in members:
                self._tell(self._membership, "added", member)
        if self._capacity is not None:
            for member in members:
                if member.isFull:
                    self._tell(self._capacity, "filled", member)

    def removed(self, members: Iterable[Member]) -> None:
        """These members may not be picked any more."""
        if self._membership is not None:
            for member in members:
                self._tell(self._membership, "removed", member)

    def changed(self, member: Member) -> None:
        """The effective weight of a member has changed."""
        if self._membership is not None:
            self._tell(self._membership, "changed", member)

    def capacityChanged(self, member: Member) -> None:
        """A member has become full, or has room again."""
        if self._capacity is not None:
            told = "filled" if member.isFull else "freed"
            self._tell(self._capacity, told, member)

    def loadChanged(self, member: Member) -> None:
        """A member was leased, or a lease of it was released."""
        if self._load is not None:
            self._tell(self._load, "loadChanged", member)

    def picking(self, now: float) -> None:
        """It is C{now}, and a member is picked next."""
        if self._latency is not None:
            self._tell(self._latency, "picking", now)

    def answered(self, member: Member, seconds: float, now: float) -> None:
        """A member has taken so long to answer."""
        if self._latency is not None:
            self._tell(self._latency, "answered", member, seconds, now)

    def failed(self, member: Member, seconds: float, now: float) -> None:
        """A member has taken so long to fail."""
        if self._latency is not None:
            self._tell(self._latency, "failed", member, seconds, now)

    def waited(self, member: Member, seconds: float, now: float) -> None:
        """A member was waited for so long."""
        if self._latency is not None:
            self._tell(self._latency, "waited", member, seconds, now)

    def leave(self) -> None:
        """Tell the picker nothing more."""
        self._membership = self._capacity = self._load = self._configuration = None
        self._latency = None
        self.followsLoad = self.followsLatency = False

    def _tell(self, observer: Any, what: str, *arguments: object) -> None:
        try:
            getattr(observer, what)(*arguments)
        except BaseException:
            if self._failed is None:
                raise
            self._failed(self._picker, what)


def _as(interface: Any, picker: IBackendPicker) -> Any:
    return picker if interface.providedBy(picker) else None
