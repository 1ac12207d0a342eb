"""Waits for chargers to call in, and asks those that do who they are. Nobody is written."""

import asyncio
from collections.abc import Mapping

from cem.driver import Control, DriverContext, Found, Identity, NoAnswer, Ratings, Refused, Role
from cem_drivers.ocpp.central import CENTRALS, Central, Session
from cem_drivers.ocpp.profile import GENERIC, profile_for
from cem_drivers.ocpp.station import MOST_CONNECTORS, Abilities, Boot

LISTEN_S = 24.0
"""A probe waits so long for somebody to call: chargers try again after 10 to 60 s."""
QUIET_S = 6.0
"""After somebody was found it waits so long for another."""
LOOK_S = 0.25
ASK_S = 2.0
SURE, LIKELY, SEEN = 0.9, 0.7, 0.4

Link = Mapping[str, str | int | float | bool]


async def who_calls(link: Link, context: DriverContext, timeout_s: float) -> list[Found]:
    """Everybody who calls in at this place. Raises NoAnswer where it is not possible to listen there."""
    try:
        central = await CENTRALS.take(link, context)
    except OSError as error:
        raise NoAnswer(
            f"can't listen there: {error}; a gateway that runs has the place, and its log says who calls in"
        ) from error
    try:
        return await _everybody(central, link, max(timeout_s, ASK_S))
    finally:
        CENTRALS.drop(central, None)


async def _everybody(central: Central, link: Link, timeout_s: float) -> list[Found]:
    """Waits until nobody new has come for a while."""
    loop = asyncio.get_running_loop()
    ends_s, found = loop.time() + LISTEN_S, dict[str, Found]()
    while loop.time() < ends_s:
        for session in central.sessions:
            identity = session.station.identity
            if identity not in found:
                found[identity] = await _asked(session, link, timeout_s)
                ends_s = min(ends_s, loop.time() + QUIET_S)
        await asyncio.sleep(LOOK_S)
    return [found[identity] for identity in sorted(found)]


async def _asked(session: Session, link: Link, timeout_s: float) -> Found:
    """What a caller says of itself; what it does not say stays empty."""
    station, abilities = session.station, Abilities()
    try:
        if station.boot is None:
            await session.dialect.trigger("BootNotification", None, timeout_s)
            await session.until(lambda: station.boot is not None, timeout_s)
        abilities = await session.dialect.abilities(timeout_s)
    except (NoAnswer, Refused):
        pass  # seen is seen
    return _found(session, station.boot, abilities, link)


def _found(session: Session, boot: Boot | None, abilities: Abilities, link: Link) -> Found:
    identity = session.station.identity
    said = boot or Boot("", "", "", "")
    profile = profile_for(said.maker, said.model)
    own = profile.identify.serial_from == "path" or (boot is not None and not boot.serial)
    serial = identity if own else said.serial
    controls = {Control.EV_LIMIT_A, *({Control.EV_PHASES} if abilities.switches_phases else ())}
    if abilities.smart_charging is False or profile.status == "draft":
        controls = set()
    confidence = SEEN if boot is None else LIKELY if profile.id == GENERIC else SURE
    place = {key: value for key, value in link.items() if key in {"kind", "listen", "port", "cert_file", "key_file"}}
    return Found(
        driver="ocpp",
        profile=profile.id,
        identity=Identity(said.maker or "unknown maker", said.model, serial, said.version),
        link={**place, "identity": identity},
        resources=((Role.EV, Ratings(), frozenset(controls)),)
        * max(1, min(abilities.connectors or 1, MOST_CONNECTORS)),
        confidence=confidence,
        details={
            "calls_in_as": identity,
            "from": session.caller.peer,
            "version": session.dialect.protocol,
            "abilities": dict(abilities.told),
        },
    )
