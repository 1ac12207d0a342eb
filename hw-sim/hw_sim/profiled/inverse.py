"""From what is true to what each register shows: a profile's rules, run backwards."""

import math
from collections.abc import Mapping, Sequence

from hw_sim.devices.sunspec import Value
from hw_sim.profiled.codec import bounds_of, is_float, is_text, sentinel_words, to_words
from hw_sim.profiled.tables import Derive, Profile, Row

Interval = tuple[float, float]
_ANY: Interval = (-math.inf, math.inf)
_ALIKE = {
    "charging": ("charging", "charge", "on", "running"),
    "discharging": ("discharging", "discharge", "on", "running"),
    "idle": ("idle", "standby", "holding", "hold", "ready", "off"),
    "running": ("running", "on", "on grid", "grid-connected", "generating", "mppt", "normal", "producing", "heating"),
    "throttled": ("throttled", "limited", "derating", "running", "on", "on grid", "generating", "normal"),
    "standby": ("standby", "idle", "waiting", "sleeping", "off", "starting"),
    "off": ("off", "standby", "stopped", "idle"),
    "on": ("on", "running"),
}
"""Words that makers use for a state of the physics, the best one first."""


def alike(state: str, words: Sequence[str]) -> str | None:
    """Of some words the one that says best what a state is; None: none does."""
    by_name = {word.lower(): word for word in reversed(words)}
    return next((by_name[one] for one in (state.lower(), *_ALIKE.get(state, ())) if one in by_name), None)


class Inverse:
    """Gives each row of a profile its value.

    Interpretation: a sum is shared evenly among its parts, as far as each can hold a share; of a difference with two
    parts that can't be negative only one is not zero; what no rule and no name gives a meaning stands at 0, or at the
    nearest value that it can have.
    """

    def __init__(self, profile: Profile, constants: Mapping[str, float]) -> None:
        self._profile = profile
        self._rows = {row.id: row for row in profile.rows}
        self._exponents = {row.exponent for row in profile.rows if row.exponent is not None}
        self._constants = dict(constants)
        for name, row in self._rows.items():
            if name not in self._constants and name not in self._exponents:
                self._constants[name] = _resting(row)
        self._roles = profile.roles

    def exponent(self, row: Row) -> float:
        """The power of ten of a row."""
        return self._constants[row.exponent] if row.exponent is not None else 0.0

    def interval(self, name: str) -> Interval:
        """What a row can hold, in the house's unit; anything for what is derived."""
        row = self._rows.get(name)
        if row is None or row.map is not None or is_text(row.type):
            return _ANY
        low, high = (raw * row.scale * 10.0 ** self.exponent(row) + row.offset for raw in bounds_of(row.type))
        low, high = min(low, high), max(low, high)
        return (max(low, row.range[0]), min(high, row.range[1])) if row.range is not None else (low, high)

    def step_of(self, name: str) -> float:
        """By how much a row moves at least, in the house's unit; 0 for what is as fine as a float."""
        row = self._rows.get(name)
        if row is None or is_float(row.type) or is_text(row.type):
            return 0.0
        return float(abs(row.scale) * 10.0 ** self.exponent(row))

    def values(self, facts: Mapping[str, Value]) -> dict[str, Value]:
        """A value for each row, None where nobody knows."""
        found: dict[str, Value] = {}
        wanted = dict(facts)
        for rule in reversed(self._profile.derive):
            if rule.id in wanted:
                self._solve(rule, wanted[rule.id], wanted)
        for name in self._rows:
            own = wanted.get(name, self._by_name(name, wanted))
            found[name] = self._constants.get(name, 0.0) if own is _MISSING else own  # type: ignore[assignment]
        return found

    def forward(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """The values of the rows and the numbers that follow from them, as a reader works them out."""
        found = dict(values)
        for rule in self._profile.derive:
            parts = [found.get(name) for name in rule.sources]
            numbers = [float(part) for part in parts if isinstance(part, float | int)]
            if len(numbers) == len(parts) and rule.bit is None and rule.map is None:
                found[rule.id] = _worked_out(rule, numbers) * rule.scale
        return found

    def _by_name(self, name: str, facts: Mapping[str, Value]) -> object:
        """A value that goes by the name of a fact of one of the roles."""
        for role in self._roles:
            if (full := f"{role}.{name}") in facts:
                return facts[full]
        return _MISSING

    def _solve(self, rule: Derive, target: Value, wanted: dict[str, Value]) -> None:
        """Gives the parts of a rule values with which it comes to its target."""
        known = {
            name: own for name in rule.sources if (own := wanted.get(name, self._by_name(name, wanted))) is not _MISSING
        }
        if len(known) == len(rule.sources) and rule.bit is None and rule.map is None:
            wanted.update(known)  # type: ignore[arg-type]
            return
        if target is None:
            wanted.update(dict.fromkeys(rule.sources))
        elif rule.map is not None:
            self._solve_map(rule, target, wanted)
        elif rule.bit is not None:
            before = wanted.get(rule.bit.of) or 0.0
            on = target == rule.bit.set
            wanted[rule.bit.of] = float(int(float(before)) | int(on) << rule.bit.bit)
        elif isinstance(target, float | int):
            self._solve_numbers(rule, target / rule.scale, wanted)

    @staticmethod
    def _solve_map(rule: Derive, target: Value, wanted: dict[str, Value]) -> None:
        assert rule.map is not None
        codes = rule.map.codes
        meant = {code: word for code, word in codes.items() if word == target}
        if not meant and isinstance(target, str):
            word = alike(target, [text for text in codes.values() if isinstance(text, str)])
            meant = {code: text for code, text in codes.items() if text == word}
        code = next(iter(meant or codes))
        wanted[rule.map.of] = float(code) if code.lstrip("-").isdigit() else code

    def _solve_numbers(self, rule: Derive, target: float, wanted: dict[str, Value]) -> None:
        own = {name: wanted[name] for name in rule.sources if isinstance(wanted.get(name), float | int)}
        numbers = {name: float(value) for name, value in own.items() if isinstance(value, float | int)}
        open_ = [name for name in rule.sources if name not in numbers]
        if rule.sum is not None:
            wanted.update(self._shared(target - sum(numbers.values()), open_))
        elif rule.diff is not None:
            wanted.update(self._apart(rule.diff, target, numbers))
        elif rule.product is not None:
            wanted.update(self._factors(rule.product, target, numbers))
        elif rule.ratio is not None:
            over, under = rule.ratio
            if under in numbers:
                wanted[over] = target * numbers[under]
            elif over in numbers:
                wanted[under] = numbers[over] / target if target else 1.0
            else:
                wanted[under], wanted[over] = 1.0, target
        else:
            wanted.update(dict.fromkeys(open_, target))

    def _factors(self, names: Sequence[str], target: float, numbers: Mapping[str, float]) -> dict[str, float]:
        """A magnitude and its sign, where one of the factors can only be one of some numbers."""
        found: dict[str, float] = {}
        left = target / (math.prod(numbers.values()) or 1.0)
        for name in names:
            choices = self._outcomes(name)
            if name not in numbers and choices:
                found[name] = next((one for one in choices if one * left >= 0.0), choices[0])
                left /= found[name] or 1.0
        for name in names:
            if name not in numbers and name not in found:
                found[name], left = left, 1.0
        return found

    def _outcomes(self, name: str) -> list[float]:
        """The numbers that a derived value can come to by a map or a bit; none for any other."""
        rule = next((one for one in self._profile.derive if one.id == name), None)
        if rule is None or (rule.map is None and rule.bit is None):
            return []
        words = list(rule.map.codes.values()) if rule.map is not None else []
        words += [rule.bit.set, rule.bit.clear] if rule.bit is not None else []
        return [float(one) * rule.scale for one in words if isinstance(one, float | int)]

    def _shared(self, total: float, names: Sequence[str]) -> dict[str, float]:
        """Even shares, as far as each can hold one; coarse registers come first, the fine ones have the rest."""
        left, shares = total, dict.fromkeys(names, 0.0)
        names = sorted(names, key=self.step_of, reverse=True)
        for at, name in enumerate(names):
            low, high = self.interval(name)
            share, step = left / (len(names) - at), self.step_of(name)
            if step > 1.0 and self.step_of(names[-1]) < step:
                share = step * math.floor(share / step)
            shares[name] = min(max(share, low), high)
            left -= shares[name]
        for name in names:  # what the later ones could not take
            low, high = self.interval(name)
            more = min(max(shares[name] + left, low), high) - shares[name]
            shares[name] += more
            left -= more
        return shares

    def _apart(self, names: tuple[str, str], target: float, numbers: Mapping[str, float]) -> dict[str, float]:
        one, other = names
        if other in numbers:
            return {one: target + numbers[other]}
        if one in numbers:
            return {other: numbers[one] - target}
        low, high = self.interval(one)
        return (
            {one: target, other: 0.0} if low <= target <= high else {one: max(0.0, low), other: max(0.0, low) - target}
        )

    # --- registers ---

    def words(self, row: Row, value: Value, off: float = 0.0) -> tuple[int, ...]:
        """The registers for a value; `off` is a power of ten by which the device is wrong."""
        order = self._profile.order(row)
        if value is None:
            return self._unknown(row, order)
        if row.map is not None:
            return to_words(row.type, _code_of(row.map, value, row), order)
        if is_text(row.type) or isinstance(value, str):
            return to_words(row.type, value if is_text(row.type) else 0.0, order)
        low, high = self.interval(row.id)
        shown = -value if not low <= value <= high and low <= -value <= high else value  # told without its sign
        raw = (shown - row.offset) / row.scale / 10.0 ** (self.exponent(row) - off)
        if not is_float(row.type):
            counter = row.id.endswith("_wh")  # counts up, and never before it is there
            raw = self._beside_sentinels(row, float(math.floor(raw + 1e-6)) if counter and raw > 0 else raw)
        return to_words(row.type, raw, order)

    def has_unknown(self, row: Row) -> bool:
        """Whether there are words for "not known" that can't be taken for a value."""
        if row.nan or is_text(row.type) or is_float(row.type):
            return True
        most = bounds_of(row.type)[1]
        if row.map is not None:
            return str(int(most)) not in row.map
        shown = most * row.scale * 10.0 ** self.exponent(row) + row.offset
        return row.range is not None and not row.range[0] <= shown <= row.range[1]

    @staticmethod
    def _beside_sentinels(row: Row, raw: float) -> float:
        least, most = bounds_of(row.type)
        number = min(max(float(round(raw)), least), most)
        width = 16 * len(row.addresses)
        taken = {bits - (1 << width) if least < 0 and bits >> (width - 1) else bits for bits in row.nan}
        while number in taken:
            number += -1.0 if number > 0 else 1.0
        return number

    def _unknown(self, row: Row, order: str) -> tuple[int, ...]:
        """As the maker says it; else a number that is none, or that can't be."""
        if row.nan:
            return sentinel_words(row.type, row.nan[0], order)
        if is_text(row.type):
            return to_words(row.type, "", order)
        if is_float(row.type):
            return to_words(row.type, math.nan, order)
        return to_words(row.type, bounds_of(row.type)[1], order)


_MISSING = object()


def _worked_out(rule: Derive, numbers: Sequence[float]) -> float:
    if rule.sum is not None:
        return sum(numbers)
    if rule.diff is not None:
        return numbers[0] - numbers[1]
    if rule.product is not None:
        return math.prod(numbers)
    if rule.ratio is not None:
        return numbers[0] / numbers[1] if numbers[1] else 0.0
    return min(numbers) if rule.min is not None else max(numbers)


def _resting(row: Row) -> float:
    low, high = row.range if row.range is not None else (-math.inf, math.inf)
    return min(max(0.0, low), high)


def _code_of(codes: Mapping[str, str], value: Value, row: Row) -> float | str:
    """The code that stands for a word; the first one where none does."""
    words = list(codes.values())
    if isinstance(value, str):
        word = value if value in words else alike(value, words)
        code = next((key for key, text in codes.items() if text == word), next(iter(codes)))
    else:
        number = str(round(value or 0.0))
        code = number if number in codes else next(iter(codes))
    return code if is_text(row.type) else float(int(code, 0))
