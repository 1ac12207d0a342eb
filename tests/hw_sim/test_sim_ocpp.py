"""hw-sim's charger that calls in: its profiles, its questions, what it keeps while it is offline."""

import asyncio
import json
from typing import Any

import pytest

from hw_sim.calls import Dial, Line
from hw_sim.devices.ocpp_charger import OcppCharger
from hw_sim.devices.ocpp_profiles import ChargingProfile, Period, ProfileStore
from hw_sim.devices.ocpp_rpc import MOST_KEPT, Payload, Question, Rpc
from hw_sim.home import HomeError, parse_home
from hw_sim.simulation import SimulatedHome
from support.sim_homes import NOON

DEFAULT, TRANSACTION, WHOLE = "TxDefaultProfile", "TxProfile", "ChargePointMaxProfile"


def profile(number: int, amps: float, purpose: str = DEFAULT, stack: int = 0, **more: Any) -> ChargingProfile:
    given: dict[str, Any] = {"kind": "Absolute", "unit": "A", "start_s": 0.0} | more
    return ChargingProfile(number, stack, purpose, periods=(Period(0, amps),), **given)


def store(*profiles: ChargingProfile, **more: Any) -> ProfileStore:
    made = ProfileStore(16.0, 3, 230.0, **more)
    for one in profiles:
        made.put(one)
    return made


@pytest.mark.parametrize(
    ("profiles", "began_s", "limit_a"),
    [
        ((), None, 16.0),
        ((profile(1, 10.0),), None, 10.0),
        ((profile(1, 20.0),), None, 16.0),  # never more than the charger can
        ((profile(1, 10.0), profile(2, 8.0, stack=3)), None, 8.0),  # the higher level wins,
        ((profile(1, 6.0), profile(2, 12.0, stack=3)), None, 12.0),  # also where it allows more
        ((profile(1, 10.0), profile(2, 7.0)), None, 7.0),  # the same place: replaced
        ((profile(1, 10.0), profile(2, 7.0, TRANSACTION)), None, 10.0),
        ((profile(1, 10.0), profile(2, 7.0, TRANSACTION)), 50.0, 7.0),
        ((profile(1, 10.0), profile(2, 8.0, WHOLE)), None, 8.0),
        ((profile(1, 10.0, duration_s=100),), None, 16.0),  # over
        ((profile(1, 10.0, valid_to_s=100.0),), None, 16.0),
        ((profile(1, 10.0, valid_from_s=101.0),), None, 16.0),
        ((profile(1, 10.0, start_s=101.0),), None, 16.0),
        ((profile(1, 10.0, start_s=100.0),), None, 10.0),
        ((profile(1, 10.0, kind="Relative", start_s=None),), None, 16.0),
        ((profile(1, 10.0, kind="Relative", start_s=None, duration_s=60),), 50.0, 10.0),
        ((profile(1, 6900.0, unit="W"),), None, 10.0),
    ],
)
def test_which_profile_holds_is_decided_as_the_standard_says(
    profiles: tuple[ChargingProfile, ...], began_s: float | None, limit_a: float
) -> None:
    assert store(*profiles).at(100.0, began_s).limit_a == pytest.approx(limit_a)


def test_the_owners_default_holds_where_no_profile_does() -> None:
    leased = store(profile(1, 15.0, duration_s=160), default_a=12.0)
    assert leased.at(100.0, None).limit_a == 15.0
    assert leased.at(160.0, None).limit_a == 12.0
    assert leased.ends_s(100.0, None) == 160.0
    assert [(p.start_s, p.limit) for p in leased.composite(100.0, 360, None, "A")] == [(0, 15.0), (60, 12.0)]


def test_what_must_not_be_lost_waits_and_the_rest_is_forgotten() -> None:
    sent: list[str] = []
    online = False

    def send(text: str) -> bool:
        if online:
            sent.append(text)
        return online

    rpc = Rpc(send, lambda _action, _payload: None)
    rpc.ask(Question("Heartbeat", {}), 0.0)
    for number in range(MOST_KEPT + 5):
        rpc.ask(Question("MeterValues", {"n": number}, kept=True), 0.0)
    rpc.lost()
    assert len(rpc.waiting) == MOST_KEPT
    online = True
    rpc.pump(1.0)
    first = json.loads(sent[0])
    assert first[2:] == ["MeterValues", {"n": 5}]  # the oldest went
    rpc.pump(2.0)
    assert len(sent) == 1  # one at a time
    rpc.hear(json.dumps([3, first[1], {}]), 3.0)
    assert json.loads(sent[1])[3] == {"n": 6}


def test_what_it_does_not_know_it_says_so() -> None:
    sent: list[list[Any]] = []

    def send(text: str) -> bool:
        sent.append(json.loads(text))
        return True

    rpc = Rpc(send, lambda _action, _payload: None)
    for text in ("no json", "[]", '{"a": 1}', '[2,"7","Reset",{"type":"Hard"}]'):
        rpc.hear(text, 0.0)
    assert sent == [[4, "7", "NotImplemented", "", {}]]


HOME = """
home = 1
name = "One charger"
zone = "Europe/Berlin"
latitude = 52.5
longitude = 13.4
seed = 1
[[ev]]
capacity_wh = 60000
soc_pct = 20
plugged_at_start = true
[[device]]
id = "box"
kind = "ocpp.charger"
"""


SECOND = """
[[ev]]
id = "b"
capacity_wh = 1
[[device]]
id = "c"
kind = "ocpp.charger"
of = ["b"]
identity = "BOX"
"""


class Central:
    """Answers everything with what a friendly central system would say."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Payload]] = []
        self.line: Line | None = None

    def pick(self, dial: Dial) -> str | int:
        return dial.protocols[0]

    async def serve(self, _dial: Dial, _protocol: str, line: Line) -> None:
        self.line = line
        try:
            while True:
                frame = json.loads(await line.recv())
                if frame[0] == 2:
                    self.heard.append((frame[2], frame[3]))
                    accepted = {"status": "Accepted", "interval": 30, "currentTime": "2026-06-15T10:00:00Z"}
                    answer = accepted | {"transactionId": 5, "idTagInfo": {"status": "Accepted"}}
                    await line.send(json.dumps([3, frame[1], answer | {"idTokenInfo": {"status": "Accepted"}}]))
        except ConnectionError:
            return


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.6", ["BootNotification", "StartTransaction", "StatusNotification", "MeterValues"]),
        ("2.0.1", ["BootNotification", "TransactionEvent", "StatusNotification", "TransactionEvent"]),
    ],
)
def test_it_boots_begins_a_charge_and_measures(version: str, expected: list[str]) -> None:
    async def main() -> None:
        home = SimulatedHome(parse_home(f'{HOME}version = "{version}"\n'), NOON)
        central = Central()
        home.switchboard.answer(central.pick, central.serve)
        await home.start()
        for _ in range(70):
            home.step(1.0)
            for _ in range(6):
                await asyncio.sleep(0)
        actions = [action for action, _ in central.heard]
        assert actions[0] == expected[0]
        positions = [actions.index(action) for action in dict.fromkeys(expected)]
        assert positions == sorted(positions)
        assert home.truth().ev["ev"].power_w > 10_000
        box = home.fronts["box"]
        assert isinstance(box, OcppCharger)
        assert box.transaction is not None
        await home.stop()
        assert not box.connected
        await home.switchboard.hang_up(central.serve)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ('identity = "a/b"', "device.0.identity"),
        ('calls = "http://x"', "device.0.calls"),
        ('version = "2.1"', "device.0.version"),
        (SECOND, "there twice"),
    ],
)
def test_a_faulty_charger_is_told_with_its_path(given: str, words: str) -> None:
    text = HOME.replace('kind = "ocpp.charger"', 'kind = "ocpp.charger"\nof = ["ev"]')
    with pytest.raises(HomeError) as caught:
        parse_home(text + given)
    assert words in str(caught.value)
