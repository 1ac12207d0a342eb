"""A random house with random misfortunes: whatever happens, in whatever order, no promise is broken."""

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cem.simulation.play import opened
from cem.simulation.scenario import changed, text_of
from support.oracle_random import EPOCH, homes, house, known

SECONDS = st.sampled_from((7, 40, 130, 400))


class House(RuleBasedStateMachine):
    """One house; every rule does something to it and lets some time pass. A failure prints its scenario file."""

    def __init__(self) -> None:
        super().__init__()
        self.acts: list[dict[str, Any]] = []
        self.at_s = 0
        self.wrong: list[tuple[str, str]] = []

    @initialize(home=st.sampled_from(homes()), hour=st.integers(0, 23), day=st.integers(0, 364))
    def a_house(self, home: str, hour: int, day: int) -> None:
        start = EPOCH + timedelta(days=day, hours=hour)
        self.scenario = house("found", home, start, seed=1)
        self.has = known(home)
        self._open = opened(self.scenario)
        self.bench, self.oracle, _ = self._open.__enter__()

    def _do(self, seconds: int, **what: Any) -> None:
        if what:
            self.acts.append({"at_s": self.at_s, **what})
            act = changed(self.scenario, act=self.acts[-1:]).acts[0]
            assert not act.troubles(self.bench)
            act.perform(self.bench, self.oracle)
        self.bench.advance(seconds)
        self.at_s += seconds

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: int) -> None:
        self._do(seconds)

    @rule(data=st.data(), seconds=SECONDS)
    def a_device_fails(self, data: st.DataObject, seconds: int) -> None:
        target, kinds = data.draw(st.sampled_from(self.has.faults))
        kind = data.draw(st.sampled_from(kinds))
        self.wrong.append((target, kind))
        self._do(seconds, do="fault", target=target, kind=kind)

    @precondition(lambda self: self.wrong)
    @rule(seconds=SECONDS)
    def a_device_is_well_again(self, seconds: int) -> None:
        target, kind = self.wrong.pop()
        self._do(seconds, do="clear", target=target, kind=kind)

    @rule(watts=st.sampled_from((0, 700, 3000, 8000)), seconds=SECONDS)
    def the_load_steps(self, watts: int, seconds: int) -> None:
        self._do(seconds, do="load", watts=watts)

    @rule(on=st.booleans(), seconds=SECONDS)
    def a_cloud_comes_or_goes(self, on: bool, seconds: int) -> None:
        self._do(seconds, do="sun", on=on)

    @rule(comes=st.booleans(), seconds=SECONDS)
    def the_car_comes_or_goes(self, comes: bool, seconds: int) -> None:
        self._do(seconds, do="plug" if comes else "unplug")

    @rule(
        signal=st.sampled_from(("import_limit", "export_limit")),
        value=st.sampled_from((0, 1500, 4200, 9000)),
        in_s=st.sampled_from((0, 90)),
        seconds=SECONDS,
    )
    def the_grid_sets_a_limit(self, signal: str, value: int, in_s: int, seconds: int) -> None:
        self._do(seconds, do="signal", signal=signal, values=[value], in_s=in_s, for_s=900)

    @rule(price=st.sampled_from((-0.1, 0.05, 0.9)), seconds=SECONDS)
    def a_price_comes(self, price: float, seconds: int) -> None:
        self._do(seconds, do="signal", signal="price", values=[price], in_s=30, for_s=1800)

    @rule(up=st.booleans(), seconds=SECONDS)
    def the_link_is_cut_or_mended(self, up: bool, seconds: int) -> None:
        self._do(seconds, do="link", up=up)

    @precondition(lambda self: self.has.has_car)
    @rule(kind=st.sampled_from(("charge_now", "pause")), seconds=SECONDS)
    def the_owner_asks_for_the_car(self, kind: str, seconds: int) -> None:
        self._do(seconds, do="ask", role="ev", kind=kind, for_s=600)

    @precondition(lambda self: self.has.has_battery)
    @rule(seconds=SECONDS)
    def the_owner_asks_for_the_battery(self, seconds: int) -> None:
        self._do(seconds, do="ask", role="battery", kind="hold", for_s=600)

    @rule(orderly=st.booleans(), seconds=SECONDS)
    def the_gateway_ends(self, orderly: bool, seconds: int) -> None:
        self._do(seconds, do="stop" if orderly else "kill")

    @rule(seconds=SECONDS)
    def the_gateway_starts(self, seconds: int) -> None:
        self._do(seconds, do="start")

    @rule(by_s=st.sampled_from((-3600, 60, 86400)), seconds=SECONDS)
    def the_wall_clock_jumps(self, by_s: int, seconds: int) -> None:
        self._do(seconds, do="clock", by_s=by_s)

    @rule(soc_pct=st.sampled_from((8, 11, 50, 96)), seconds=SECONDS)
    def the_battery_holds(self, soc_pct: int, seconds: int) -> None:
        self._do(seconds, do="store", soc_pct=soc_pct)

    @invariant()
    def no_promise_is_broken(self) -> None:
        if not hasattr(self, "oracle"):
            return
        said = "\n".join(str(violation) for violation in self.oracle.violations)
        assert not said, f"{said}\n--- as a scenario file ---\n{self._file()}"

    def _file(self) -> str:
        return text_of(changed(self.scenario, for_s=self.at_s + 5, act=self.acts))

    def teardown(self) -> None:
        if hasattr(self, "_open"):
            self._open.__exit__(None, None, None)


TestHouse = House.TestCase
TestHouse.settings = settings(
    max_examples=6,
    stateful_step_count=12,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
