"""Batteries: what each should do this tick, from the plan's regime and the meter."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cem.control import words
from cem.control.fold import fold
from cem.control.picture import BatteryPicture
from cem.control.scene import Scene, margin_w
from cem.control.tuning import BATTERY_DEAD_BAND_W, EXPORT_MARGIN_W, IMPORT_MARGIN_W, MOVE_SHARE
from cem.model.directive import Dispatch
from cem.model.envelope import SITE, Band, Envelope, Rank
from cem.model.plan import Intent, IntentKind


@dataclass(frozen=True, slots=True)
class BatteryChoice:
    """The power for one battery, charging positive."""

    battery: BatteryPicture
    power_w: float
    rank: Rank
    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Net:
    """What a battery acts on (W): the house without cars and batteries, the cars, and the batteries already chosen."""

    house_w: float
    ev_w: float
    charging_w: float = 0.0
    discharging_w: float = 0.0  # negative

    @property
    def surplus_w(self) -> float:
        """What may be stored without buying it."""
        return max(0.0, -(self.house_w + self.ev_w + self.charging_w))

    @property
    def deficit_w(self) -> float:
        """What the house itself lacks; neither a car nor another battery counts."""
        return max(0.0, self.house_w + self.discharging_w)

    @property
    def others_w(self) -> float:
        """The connection point without the battery in question."""
        return self.house_w + self.ev_w + self.charging_w + self.discharging_w

    def plus(self, power_w: float) -> "Net":
        """With one more battery chosen."""
        return replace(
            self,
            charging_w=self.charging_w + max(0.0, power_w),
            discharging_w=self.discharging_w + min(0.0, power_w),
        )


def choose(scene: Scene, last_w: dict[str, float]) -> list[BatteryChoice]:
    """One choice per battery that can be read; updates `last_w`."""
    net = Net(scene.house_w, scene.picture.ev_w)
    choices: list[BatteryChoice] = []
    for battery in scene.picture.batteries:
        own = fold(battery.resource.id, scene.envelopes, scene.now)
        choice = _clamped(_wanted(scene, battery, net), own)
        before = last_w.get(battery.resource.id, battery.power_w)
        choice = replace(choice, power_w=own.clamp(_damped(choice.power_w, before)))
        choices.append(choice)
        net = net.plus(choice.power_w)
    choices = _aligned(choices)
    for by, edge_w, is_import in (
        (scene.band.max_by, scene.band.max_w - margin_w(scene.band.max_by, IMPORT_MARGIN_W), True),
        (scene.band.min_by, scene.band.min_w + margin_w(scene.band.min_by, EXPORT_MARGIN_W), False),
    ):
        excess = scene.house_w + scene.picture.ev_w + sum(c.power_w for c in choices) - edge_w
        if by is not None and (excess > 0 if is_import else excess < 0):
            choices = _moved(scene, choices, by, excess)
    last_w.update({choice.battery.resource.id: choice.power_w for choice in choices})
    return choices


def _clamped(choice: BatteryChoice, own: Band) -> BatteryChoice:
    power_w = own.clamp(choice.power_w)
    by = own.min_by if power_w > choice.power_w else own.max_by if power_w < choice.power_w else None
    if by is None:
        return replace(choice, power_w=power_w)
    ability = by.source == choice.battery.resource.id  # its rating is no news to the owner: the wish stays the reason
    if ability and power_w != 0.0:
        return replace(choice, power_w=power_w, rank=by.rank)
    return replace(choice, power_w=power_w, rank=by.rank, source=by.source, reason=by.reason)


def _damped(target_w: float, last_w: float) -> float:
    if abs(target_w - last_w) <= BATTERY_DEAD_BAND_W:
        return 0.0 if target_w == 0.0 else last_w
    return last_w + MOVE_SHARE * (target_w - last_w)


def _wanted(scene: Scene, battery: BatteryPicture, net: Net) -> BatteryChoice:
    dispatch = _dispatch(scene.inputs.directive.dispatches, battery)
    if dispatch is not None:
        target = dispatch.power_w if dispatch.subject != SITE else dispatch.power_w - net.others_w
        return BatteryChoice(battery, target, dispatch.rank, dispatch.source, dispatch.reason)
    slot = scene.slot
    intent = slot.intents.get(battery.resource.id) if slot is not None else None
    price = slot.import_price_per_kwh if slot is not None else None
    return _follow(scene, battery, net, intent or Intent(IntentKind.SELF_CONSUME), price)


def _dispatch(dispatches: Sequence[Dispatch], battery: BatteryPicture) -> Dispatch | None:
    """The one for this battery before the one for the whole site."""
    own = next((d for d in dispatches if d.subject == battery.resource.id), None)
    return own or next((d for d in dispatches if d.subject == SITE), None)


def _follow(scene: Scene, battery: BatteryPicture, net: Net, intent: Intent, price: float | None) -> BatteryChoice:
    """The regime of the slot applied to the meter's present surplus or deficit."""

    def choice(power_w: float, reason: str) -> BatteryChoice:
        source = "rule" if scene.slot is None else "plan"
        return BatteryChoice(battery, power_w, Rank.PLAN, source, reason)

    at = "" if price is None else f" at {price:.2f} a kWh"
    target_pct = intent.target_soc_pct
    wants_charge = intent.kind is IntentKind.CHARGE_TO and battery.soc_pct < (
        100.0 if target_pct is None else target_pct
    )
    if wants_charge and scene.site.battery_policy(battery.resource.id).grid_charge:
        most = battery.max_charge_w if intent.max_w is None else intent.max_w
        goal = "" if target_pct is None else f" up to {target_pct:.0f} %"
        return choice(max(net.surplus_w, most), f"charges from the grid{at}{goal}, which is dearer later")
    if intent.kind is IntentKind.DISCHARGE_TO and battery.soc_pct > (0.0 if target_pct is None else target_pct):
        most = battery.max_discharge_w if intent.max_w is None else intent.max_w
        return choice(-max(net.deficit_w, most), f"feeds in{at}, which pays more than later")
    if net.surplus_w > 0:
        return choice(net.surplus_w, f"stores the surplus of {words.power(net.surplus_w)}")
    if intent.kind in {IntentKind.HOLD, IntentKind.CHARGE_TO}:
        return choice(0.0, f"keeps its energy, which is worth more later than now{at}")
    if net.deficit_w > 0:
        return choice(-net.deficit_w, f"covers {words.power(net.deficit_w)} of the house{at}")
    return choice(0.0, "has nothing to store and nothing to cover")


def _aligned(choices: list[BatteryChoice]) -> list[BatteryChoice]:
    """No battery charges another one: while one charges, the others do not discharge."""
    if not any(choice.power_w > 0 for choice in choices):
        return choices
    reason = "stands still while another battery charges"
    return [replace(choice, power_w=0.0, reason=reason) if choice.power_w < 0 else choice for choice in choices]


def _moved(scene: Scene, choices: list[BatteryChoice], by: Envelope, excess_w: float) -> list[BatteryChoice]:
    """Moves the batteries as far as an edge of the connection point needs, over the heads of weaker ranks.

    First to zero, all of them, and only then beyond, so that none ends up feeding another.
    """
    powers = [choice.power_w for choice in choices]
    left = excess_w
    for beyond_zero in (False, True):
        for index, choice in enumerate(choices):
            hard = fold(choice.battery.resource.id, scene.envelopes, scene.now, weakest=by.rank)
            wanted = powers[index] - left
            if not beyond_zero and powers[index] * wanted < 0:
                wanted = 0.0
            elif not beyond_zero and powers[index] * left <= 0:
                continue  # it would move away from zero: that is the second pass
            power_w = hard.clamp(wanted)
            left -= powers[index] - power_w
            powers[index] = power_w
    return [
        choice if power_w == choice.power_w else _bound(scene, choice, power_w, by)
        for choice, power_w in zip(choices, powers, strict=True)
    ]


def _bound(scene: Scene, choice: BatteryChoice, power_w: float, by: Envelope) -> BatteryChoice:
    verb = "gives" if power_w < 0 else "takes" if power_w > 0 else "stands still, taking"
    reason = f"{verb} {words.power(power_w)} to keep within the {scene.bound(by)}"
    return BatteryChoice(choice.battery, power_w, by.rank, by.source, reason)
