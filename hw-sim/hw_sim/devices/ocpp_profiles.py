"""Charging profiles as a charger keeps them: which limit holds when (OCPP 1.6, 3.13; OCPP 2.0.1 part 2, K)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

CHARGER = frozenset({"ChargePointMaxProfile", "ChargingStationMaxProfile", "ChargingStationExternalConstraints"})
DEFAULT, TRANSACTION = "TxDefaultProfile", "TxProfile"


@dataclass(frozen=True, slots=True)
class Period:
    """From `start_s` after the schedule's beginning: a limit in the profile's unit, on so many phases."""

    start_s: int
    limit: float
    phases: int | None = None


@dataclass(frozen=True, slots=True)
class ChargingProfile:
    """One profile. Times are Unix seconds by the charger's clock; None: open."""

    id: int
    stack_level: int
    purpose: str
    kind: str
    unit: str
    periods: tuple[Period, ...]
    start_s: float | None = None
    duration_s: int | None = None
    valid_from_s: float | None = None
    valid_to_s: float | None = None
    transaction: str | None = None

    def period_at(self, now_s: float, began_s: float | None) -> Period | None:
        """The period that holds at `now_s`; None where the profile says nothing then. `began_s`: of the transaction."""
        if (self.valid_from_s is not None and now_s < self.valid_from_s) or (
            self.valid_to_s is not None and now_s >= self.valid_to_s
        ):
            return None
        start_s = began_s if self.kind == "Relative" or self.start_s is None else self.start_s
        if start_s is None:
            return None
        into_s = now_s - start_s
        if self.kind == "Recurring":
            into_s %= 86400.0
        if into_s < 0 or (self.duration_s is not None and into_s >= self.duration_s):
            return None
        begun = [period for period in self.periods if period.start_s <= into_s]
        return begun[-1] if begun else None

    def edges(self, began_s: float | None) -> Iterable[float]:
        """The instants at which something about it may change."""
        start_s = began_s if self.kind == "Relative" or self.start_s is None else self.start_s
        yield from (at for at in (self.valid_from_s, self.valid_to_s) if at is not None)
        if start_s is not None:
            yield from (start_s + period.start_s for period in self.periods)
            if self.duration_s is not None:
                yield start_s + self.duration_s


@dataclass(frozen=True, slots=True)
class Bound:
    """What holds at an instant: the current per phase, the phases that a profile names, and whether one holds."""

    limit_a: float
    phases: int | None
    profiled: bool


@dataclass(slots=True)
class ProfileStore:
    """Everything that was set. The highest stack level of a purpose wins; a charger's own maximum narrows it."""

    max_a: float
    phases: int
    voltage_v: float
    default_a: float | None = None  # what its owner has set for when nobody says anything
    profiles: list[ChargingProfile] = field(default_factory=list)

    def put(self, profile: ChargingProfile) -> None:
        """A profile with the same id, or the same purpose and stack level, is replaced."""
        self.profiles = [
            one
            for one in self.profiles
            if one.id != profile.id and (one.purpose, one.stack_level) != (profile.purpose, profile.stack_level)
        ]
        self.profiles.append(profile)

    def clear(self, profile_id: int | None, purpose: str | None, stack_level: int | None) -> bool:
        """Takes away what matches all that is given; whether there was any."""
        kept = [
            one
            for one in self.profiles
            if (profile_id is not None and one.id != profile_id)
            or (profile_id is None and purpose is not None and one.purpose != purpose)
            or (profile_id is None and stack_level is not None and one.stack_level != stack_level)
        ]
        found = len(kept) < len(self.profiles)
        self.profiles = kept
        return found

    def end_transaction(self) -> None:
        """Profiles of a transaction end with it."""
        self.profiles = [one for one in self.profiles if one.purpose != TRANSACTION]

    def at(self, now_s: float, began_s: float | None) -> Bound:
        """What holds at an instant."""
        own = min(self.max_a, self.default_a) if self.default_a is not None else self.max_a
        period: tuple[ChargingProfile, Period] | None = None
        for purpose in (TRANSACTION, DEFAULT):
            period = period or self._best(purpose, now_s, began_s)
        limit_a, phases = own, None
        if period is not None:
            limit_a, phases = self.amperes(*period), period[1].phases
        widest = min(
            (
                self.amperes(one, at)
                for one in self.profiles
                if one.purpose in CHARGER and (at := one.period_at(now_s, began_s))
            ),
            default=self.max_a,
        )
        return Bound(min(limit_a, widest, self.max_a), phases, period is not None)

    def _best(self, purpose: str, now_s: float, began_s: float | None) -> tuple[ChargingProfile, Period] | None:
        if purpose == TRANSACTION and began_s is None:
            return None
        found = [
            (one.stack_level, one, at)
            for one in self.profiles
            if one.purpose == purpose and (at := one.period_at(now_s, began_s)) is not None
        ]
        if not found:
            return None
        _, best, at = max(found, key=lambda item: item[0])
        return best, at

    def amperes(self, profile: ChargingProfile, period: Period) -> float:
        """A period's limit per phase."""
        if profile.unit == "A":
            return period.limit
        return period.limit / (self.voltage_v * (period.phases or self.phases))

    def ends_s(self, now_s: float, began_s: float | None) -> float | None:
        """When the profile that holds now lets go by itself; None: never, or none holds."""
        if not self.at(now_s, began_s).profiled:
            return None
        later = sorted(edge for one in self.profiles for edge in one.edges(began_s) if edge > now_s)
        return next((edge for edge in later if not self.at(edge, began_s).profiled), None)

    def composite(self, now_s: float, duration_s: int, began_s: float | None, unit: str) -> list[Period]:
        """The limits from now on, as whole seconds from now; neighbours differ."""
        edges = sorted({0.0, *(edge - now_s for one in self.profiles for edge in one.edges(began_s))})
        periods: list[Period] = []
        for into_s in (edge for edge in edges if 0 <= edge < duration_s):
            bound = self.at(now_s + into_s, began_s)
            phases = bound.phases or self.phases
            limit = bound.limit_a if unit == "A" else bound.limit_a * self.voltage_v * phases
            period = Period(round(into_s), round(limit, 1), phases)
            if not periods or (periods[-1].limit, periods[-1].phases) != (period.limit, period.phases):
                periods.append(period)
        return periods
