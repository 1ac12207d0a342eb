"""The mode, and one sentence for the top of the screen: what the house does now and why."""

from collections.abc import Sequence

from cem.control import island, words
from cem.control.presence import waits_for_permission
from cem.control.scene import Scene
from cem.control.spreading import OUTAGE
from cem.model.directive import LinkState, LinkStatus
from cem.model.envelope import Rank
from cem.model.resource import Control
from cem.model.setpoint import Mode, Setpoint


def _lost(link: LinkStatus) -> bool:
    """Whether a provider's agreed fallback holds in place of what it said."""
    return link.state is LinkState.FALLBACK or (link.state is LinkState.RESYNC and link.falls_back)


def mode(scene: Scene) -> Mode:
    """How the gateway as a whole is running, while the meter answers."""
    if scene.islanded:
        return Mode.ISLANDED
    links = scene.inputs.directive.links
    if links and any(_lost(link) for link in links):
        return Mode.FALLBACK
    return Mode.LIMITED if grid_bounds(scene) else Mode.NORMAL


def grid_bounds(scene: Scene) -> str:
    """The edges that a provider set, in words; '' when none did."""
    if not scene.inputs.directive.envelopes:
        return ""
    sources = {envelope.source for envelope in scene.inputs.directive.envelopes}
    edges = ((scene.band.max_by, scene.band.max_w, "import"), (scene.band.min_by, scene.band.min_w, "export"))
    return ", ".join(
        f"{side} at most {words.power(edge)}{words.until(by.until, scene.site.zone, scene.now)}"
        for by, edge, side in edges
        if by is not None and by.source in sources
    )


def _permitting(scene: Scene) -> str:
    return " and ".join(sorted(scene.site.policy.island.permitted_by))


def headline(scene: Scene, now: Mode, setpoints: Sequence[Setpoint]) -> str:
    """One sentence."""
    bounded = grid_bounds(scene)
    if now is Mode.ISLANDED and not scene.gone:
        if waits_for_permission(scene.site, scene.memory, scene.now_s):
            return f"The grid is back; {_permitting(scene)} has not permitted the return yet."
        watched = words.duration(scene.site.policy.island.stable_s)
        return f"The grid is back; it is watched for {watched} before anything returns to it."
    if now is Mode.ISLANDED:
        left = island.lasts(scene)
        return f"No grid: the house runs by itself{'; ' + left if left else ''}."
    if now is Mode.FALLBACK:
        lost = next(link for link in scene.inputs.directive.links if _lost(link))
        return f"No link to {lost.provider_id}; the agreed fallback holds: {bounded or 'its own tariff and limits'}."
    if now is Mode.LIMITED:
        return f"The grid sets a limit: {bounded}."
    waiting = next(iter(scene.waits.values()), None)
    if waiting is not None and waiting.by.source == OUTAGE:
        return f"The grid is back: the house {waiting.by.reason}."
    if waiting is not None:
        return f"What the grid asked for is over: the house {waiting.by.reason}."
    for setpoint in setpoints:
        if setpoint.rank is Rank.PROGRAMME:
            return f"Follows {setpoint.source}: {setpoint.reason}."
    for setpoint in setpoints:
        if setpoint.control is Control.BATTERY_SETPOINT_W:
            return f"The battery {setpoint.reason}."
    return "Everything runs by itself."
