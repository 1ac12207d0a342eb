"""The curves of models 705 (volt-var), 706 (volt-watt), 712 (watt-var), the droop settings of 711, for grid support,
and the trip curves of 707 to 710, by which a device leaves the grid.

A device keeps several curves; the first is the one in force and can't be written. A new one is written to another
place, then adopted: the device copies it to the first and says how that went. Source: SunSpec DER Information Model
Specification V1.2, clause on adopting curves; IEEE 1547.1 profile.
"""

import asyncio
import struct
from collections.abc import Iterator, Mapping

from cem.driver import Curve, CurveSet, GridFunction, Points, Refused, TripRegion
from cem_drivers.modbus import MAX_READ, Bus, Span, split_span
from cem_drivers.sunspec.decode import encode, is_given
from cem_drivers.sunspec.definition import Definition, Point, PointList, definition
from cem_drivers.sunspec.scan import Model

FUNCTIONS = {
    705: GridFunction.VOLT_VAR,
    706: GridFunction.VOLT_WATT,
    707: GridFunction.LOW_VOLTAGE_TRIP,
    708: GridFunction.HIGH_VOLTAGE_TRIP,
    709: GridFunction.LOW_FREQUENCY_TRIP,
    710: GridFunction.HIGH_FREQUENCY_TRIP,
    711: GridFunction.FREQUENCY_WATT,
    712: GridFunction.WATT_VAR,
}
"""Points are pairs: 705 V in % of nominal and Var in % of what DeptRef says; 706 V, W; 712 W, Var; 711 has none.
707 and 708 have three lists of pairs, V in % of nominal and the time in s; 709 and 710 too, Hz and the time."""
REGIONS = {
    "MustTrip": TripRegion.MUST_TRIP,
    "MayTrip": TripRegion.MAY_TRIP,
    "MomCess": TripRegion.MOMENTARY_CESSATION,
}
TRIPS = frozenset(range(707, 711))
ACTIVE = 1  # the curve in force
COMPLETED, FAILED = 1, 2
ADOPT_WITHIN_S = 10.0
ADOPT_LOOK_S = 0.2
MAX_WRITE = 100  # registers in one request
LONGEST = 2000


class CurveModel:
    """One curve model of one device."""

    def __init__(self, bus: Bus, model: Model, max_read: int = MAX_READ) -> None:
        known = definition(model.id)
        assert known is not None
        assert model.id in FUNCTIONS
        self.bus = bus
        self.model = model
        self._known: Definition = known
        self._own = known.curve or known.group
        self._max_read = max_read
        self._block = b""
        verb = "Ctl" if model.id == 711 else "Crv"
        self._request, self._result, self._revert_to = f"Adpt{verb}Req", f"Adpt{verb}Rslt", f"Rvrt{verb}"

    async def read(self) -> CurveSet:
        """Reads everything. Raises Refused where the model's own words make no sense."""
        await self._read_block()
        count, most = self._counts()
        return CurveSet(
            FUNCTIONS[self.model.id],
            self._raw("Ena") == 1,
            self._raw("RvrtTms") if self._reverts else None,
            most,
            tuple(self._curve_at(index) for index in range(1, count + 1)),
        )

    async def adopt(
        self,
        curve: Curve,
        *,
        place: int = 2,
        revert_s: int = 0,
        within_s: float = ADOPT_WITHIN_S,
    ) -> CurveSet:
        """Writes a curve to `place`, has the device adopt it, reads it back and enables it; nothing where it is so.

        `revert_s`: after so long the device goes back by itself; 0: never. Raises Refused when the curve does not
        fit, when the device refuses or fails it, or when the curve in force is not the one that was asked for; the
        function is not enabled then.
        """
        before_us = await self.read()
        stays = revert_s == 0 and not before_us.revert_s
        if stays and before_us.enabled and before_us.active is not None and self._same(before_us.active, curve):
            return before_us
        if revert_s and not self._reverts:
            raise Refused(f"{self._name}: it has no timer after which it would go back by itself")
        words = self._encoded(curve, place)
        await self._write(words)
        await self._read_block()
        self._check(self._curve_at(place), curve, f"curve {place}")
        if self._reverts:
            await self._write_fixed("RvrtTms", revert_s)
        before = self._raw(self._result)
        await self._write_fixed(self._request, place)
        await self._adopted(curve, before, within_s)
        if self._raw("Ena") != 1:
            await self._write_fixed("Ena", 1)
        state = await self.read()
        if not state.enabled:
            raise Refused(f"{self._name}: Ena does not keep what is written; the curve is not in force")
        return state

    async def disable(self) -> CurveSet:
        """Switches the function off and reads it back; writes nothing when it is off."""
        state = await self.read()
        if not state.enabled:
            return state
        await self._write_fixed("Ena", 0)
        state = await self.read()
        if state.enabled:
            raise Refused(f"{self._name}: Ena does not keep what is written; the function is still on")
        return state

    @property
    def _name(self) -> str:
        return f"{self.bus.name} model {self.model.id}"

    async def _adopted(self, curve: Curve, before: int, within_s: float) -> None:
        """Waits for the verdict; one left over from an earlier curve counts only once the time is over."""
        result = before
        try:
            async with asyncio.timeout(within_s):
                while True:
                    await self._read_block()
                    result = self._raw(self._result)
                    if result == COMPLETED and self._same(self._curve_at(ACTIVE), curve):
                        return
                    if result == FAILED and before != FAILED:
                        break
                    await asyncio.sleep(ADOPT_LOOK_S)
        except TimeoutError:
            if result == COMPLETED:
                self._check(self._curve_at(ACTIVE), curve, "the curve in force")
        verdict = "says that it failed" if result == FAILED else f"says nothing for {within_s:g} s"
        raise Refused(f"{self._name}: the curve was not adopted: {self._result} {verdict}")

    async def _read_block(self) -> None:
        size = min(self.model.length + 2, LONGEST)
        spans = split_span(Span(self.model.address, size), self._max_read)
        self._block = b"".join([await self.bus.read(span.address, span.count) for span in spans])
        if len(self._block) < 2 * self._known.fixed_size:
            raise Refused(f"{self._name}: {self.model.length} registers are too few for its fixed part")

    def _counts(self) -> tuple[int, int]:
        """Curves and points of each, as many as the model's length holds."""
        count = self._raw(self._known.count)
        most = self._raw("NPt") if self._known.lists else 0
        if count in (0, 0xFFFF) or most == 0xFFFF:
            return 0, 0
        room = len(self._block) // 2 - self._known.fixed_size
        size = self._curve_size(most)
        if count * size > room:
            raise Refused(
                f"{self._name}: {count} curves of {size} registers do not fit into the {room} that its length leaves"
            )
        return count, most

    def _curve_size(self, most: int) -> int:
        return _size(self._own) + sum(_list_size(part, most) for part in self._known.lists)

    def _lists(self, begin: int, most: int) -> Iterator[tuple[PointList, int]]:
        """The lists of points of the curve that begins there, each with its offset."""
        at = begin + _size(self._own)
        for part in self._known.lists:
            yield part, at
            at += _list_size(part, most)

    def _begin(self, index: int) -> int:
        """The offset of a curve, counted from 1."""
        count, most = self._counts()
        if not 1 <= index <= count:
            raise Refused(f"{self._name}: it has {count} curves, no curve {index}")
        return self._known.fixed_size + (index - 1) * self._curve_size(most)

    def _curve_at(self, index: int) -> Curve:
        begin = self._begin(index)
        raw = {point.name: self._value(point, begin) for point in self._own}
        points: Points = ()
        regions: dict[TripRegion, Points] = {}
        _, most = self._counts()
        for part, at in self._lists(begin, most):
            if not part.head:
                points = self._pairs(part, at, raw.get("ActPt") or 0.0, most)
                continue
            active = self._value(part.head[0], at)
            if active is not None:  # else it has no such region
                regions[REGIONS[part.name]] = self._pairs(part, at, active, most)
        settings = {
            name: value for name, value in raw.items() if value is not None and name not in ("ActPt", "ReadOnly")
        }
        return Curve(points, settings, raw.get("ReadOnly") == 1, regions)

    def _pairs(self, part: PointList, at: int, active: float, most: int) -> Points:
        """The points of a list that begins there which count."""
        pairs: list[tuple[float, float]] = []
        for number in range(min(int(active), most)):
            x, y = (self._value(point, _nth(part, at, number)) for point in part.point)
            if x is None or y is None:
                break
            pairs.append((x, y))
        return tuple(pairs)

    def _value(self, point: Point, begin: int) -> float | None:
        moved = _moved(point, begin)
        if not is_given(moved, self._block):
            return None
        raw = struct.unpack_from(">" + point.format, self._block, 2 * moved.offset)[0]
        scale = self._scale(point)
        return None if scale is None else float(raw * 10**scale) if scale >= 0 else raw / 10**-scale

    def _scale(self, point: Point) -> int | None:
        if not isinstance(point.sf, str):
            return point.sf or 0
        if not self._given(point.sf):
            return None
        scale = self._raw(point.sf)
        return scale if -10 <= scale <= 10 else None

    def _raw(self, name: str) -> int:
        point = self._known.point(name)
        raw = struct.unpack_from(">" + point.format, self._block, 2 * point.offset)[0]
        assert isinstance(raw, int)
        return raw

    def _given(self, name: str) -> bool:
        return is_given(self._known.point(name), self._block)

    @property
    def _reverts(self) -> bool:
        """Whether it has a timer after which it goes back by itself; trip curves have none."""
        return self.model.id not in TRIPS and self._given("RvrtTms")

    def _encoded(self, curve: Curve, place: int) -> dict[int, int]:
        """The words of a curve by their offset in the model. Raises Refused where it does not fit."""
        begin = self._begin(place)
        _, most = self._counts()
        if place == ACTIVE or self._curve_at(place).read_only:
            raise Refused(f"{self._name}: curve {place} can't be written; the first is the one in force")
        self._check_fit(curve, place, most)
        known = {point.name: point for point in self._own}
        words: dict[int, int] = {}
        values = dict(curve.settings)
        if "ActPt" in known:
            values["ActPt"] = float(len(curve.points))
        for name, value in values.items():
            if name not in known or name == "ReadOnly":
                raise Refused(f"{self._name}: a curve has no setting {name!r}, only {', '.join(known)}")
            words |= self._words(known[name], begin, value)
        for part, at in self._lists(begin, most):
            pairs = curve.regions.get(REGIONS[part.name]) if part.head else curve.points
            if pairs is None:
                continue
            for point in part.head:
                words |= self._words(point, at, float(len(pairs)))
            for number, pair in enumerate(pairs):
                for point, value in zip(part.point, pair, strict=True):
                    words |= self._words(point, _nth(part, at, number), value)
        return words

    def _check_fit(self, curve: Curve, place: int, most: int) -> None:
        """Raises Refused where the curves of this model have no such lists of points, or no room for so many."""
        if curve.points and all(part.head for part in self._known.lists):
            raise Refused(f"{self._name}: its curves have no points but in their regions, or none at all")
        held = self._curve_at(place).regions
        for region in curve.regions:
            if region not in held:
                raise Refused(f"{self._name}: it has no {region.words} curve")
        longest = max(len(pairs) for pairs in (curve.points, *curve.regions.values()))
        if longest > most:
            raise Refused(f"{self._name}: {longest} points, it has room for {most}")

    def _words(self, point: Point, begin: int, value: float) -> dict[int, int]:
        scale = self._scale(point)
        if scale is None:
            raise Refused(f"{self._name}: {point.name} has no usable scale factor")
        try:
            packed = struct.pack(">" + point.format, encode(point, value, scale))
        except ValueError as error:
            raise Refused(f"{self._name}: {error}") from error
        return dict(enumerate(struct.unpack(f">{point.size}H", packed), begin + point.offset))

    def _check(self, held: Curve, wanted: Curve, where: str) -> None:
        if not self._same(held, wanted):
            told = [held.points, dict(held.settings), {region.words: held.regions[region] for region in held.regions}]
            holds = ", ".join(str(part) for part in told if part) or "nothing"
            raise Refused(f"{self._name}: {where} holds {holds}, not what was written")

    def _same(self, held: Curve, wanted: Curve) -> bool:
        """Whether the device holds what is wanted, but for what its scale factors round."""
        same = True
        for part in self._known.lists:
            if not part.head:
                same = same and self._same_points(part, held.points, wanted.points)
            elif (pairs := wanted.regions.get(REGIONS[part.name])) is not None:
                got_pairs = held.regions.get(REGIONS[part.name])
                same = same and got_pairs is not None and self._same_points(part, got_pairs, pairs)
        known = {point.name: point for point in self._own}
        for name, value in wanted.settings.items():
            got = held.settings.get(name)
            same = same and got is not None and abs(got - value) <= self._step(known[name])
        return same

    def _same_points(self, part: PointList, held: Points, wanted: Points) -> bool:
        return len(held) == len(wanted) and all(
            abs(a - b) <= self._step(point)
            for pair, other in zip(held, wanted, strict=True)
            for point, a, b in zip(part.point, pair, other, strict=True)
        )

    def _step(self, point: Point) -> float:
        return 0.51 * 10.0 ** (self._scale(point) or 0)

    async def _write_fixed(self, name: str, value: int) -> None:
        point = self._known.point(name)
        packed = struct.pack(">" + point.format, value)
        await self._write(dict(enumerate(struct.unpack(f">{point.size}H", packed), point.offset)))

    async def _write(self, words: Mapping[int, int]) -> None:
        offsets = sorted(words)
        while offsets:
            first = offsets[0]
            run = [words[at] for index, at in enumerate(offsets) if at == first + index and index < MAX_WRITE]
            await self.bus.write(self.model.address + first, run)
            offsets = offsets[len(run) :]


def _size(points: tuple[Point, ...]) -> int:
    return points[-1].offset + points[-1].size if points else 0


def _list_size(part: PointList, most: int) -> int:
    return _size(part.head) + most * _size(part.point)


def _nth(part: PointList, at: int, number: int) -> int:
    """The offset of a point of a list that begins there, counted from 0."""
    return at + _size(part.head) + number * _size(part.point)


def _moved(point: Point, begin: int) -> Point:
    return Point(point.name, point.type, begin + point.offset, point.size, point.sf, point.symbols)
