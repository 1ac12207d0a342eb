"""What does not do what it is told counts as what it does, until it follows again: nobody else gets its room.

So does for ever what can only be measured.
"""

from collections.abc import Iterable, Mapping

from cem.control.scene import Scene
from cem.control.sharing import Claim, Pools, Share, share
from cem.model.resource import Control, Role
from cem.model.setpoint import Health, WriteState
from cem.model.site import Site
from cem.model.tick import Inputs

STORES = frozenset({WriteState.NOT_EFFECTIVE, WriteState.CONTESTED})
CONSUMERS = STORES | {WriteState.REFUSED, WriteState.BLOCKED}
"""Of a consumer also what was refused: a battery that refuses has its own timer, a charger goes on as it is. Until
that has run out, consumers have no more than a battery leaves them that goes on as it is, too, and so have other
batteries that follow."""


def stores(scene: Scene) -> frozenset[str]:
    """The batteries that do not follow, or that nobody can steer; one that refuses, where others make up for it."""
    return scene.once(_stores)


def _stores(scene: Scene) -> frozenset[str]:
    astray = unsteered(scene.site) | silent(scene)
    astray |= {o.resource_id for o in scene.inputs.outcomes if o.state in STORES}
    refusing = unmoved(scene) - astray
    others = refusing and any(b.resource.id not in astray | refusing for b in scene.picture.batteries)
    return astray | refusing if others else astray


def unmoved(scene: Scene) -> frozenset[str]:
    """The batteries that make no room for consumers now: also those to which nothing gets through."""
    return scene.once(_unmoved)


def _unmoved(scene: Scene) -> frozenset[str]:
    return unsteered(scene.site) | heedless(scene) | silent(scene)


def silent(scene: Scene) -> frozenset[str]:
    """The batteries whose devices do not answer now: they go on as they were, until they do or their timers end it."""
    return scene.once(_silent)


def _silent(scene: Scene) -> frozenset[str]:
    devices, found = scene.inputs.devices, []
    for battery in scene.picture.batteries:
        device = devices.get(battery.resource.device_id)
        if device is not None and device.health is Health.SILENT:
            found.append(battery.resource.id)
    return frozenset(found)


def heedless(scene: Scene) -> frozenset[str]:
    """Whatever does not follow, or does not take what it is told."""
    return scene.once(_heedless)


def _heedless(scene: Scene) -> frozenset[str]:
    return unheeding(scene.inputs)


def refusing(scene: Scene) -> frozenset[str]:
    """Whatever did not take its last word."""
    return scene.once(_refusing)


def _refusing(scene: Scene) -> frozenset[str]:
    return frozenset([o.resource_id for o in scene.inputs.outcomes if o.state is WriteState.REFUSED])


def unheeding(inputs: Inputs) -> frozenset[str]:
    """The same, as the outcomes of the last writes tell it."""
    return frozenset([o.resource_id for o in inputs.outcomes if o.state in CONSUMERS])


def unsteered(site: Site) -> frozenset[str]:
    """The batteries that can only be measured."""
    return site.once(_unsteered)


def _unsteered(site: Site) -> frozenset[str]:
    return frozenset(b.id for b in site.of(Role.BATTERY) if Control.BATTERY_SETPOINT_W not in b.controls)


def shared(
    scene: Scene, claims: Iterable[Claim], pools: Pools, drawn_w: Mapping[str, float], also: frozenset[str]
) -> dict[str, Share]:
    """As `share`; but who does not follow is still told its fair share, while others get what its draw leaves.

    `drawn_w`: the measured power of each consumer; `also`: those that do not follow before it is told of them.
    """
    ids = heedless(scene) | also
    if not ids:
        return share(claims, pools)
    claims = tuple(claims)
    deaf = [c for c in claims if c.id in ids and c.id in drawn_w and c.use["site"] > 0.0]
    if not deaf:
        return share(claims, pools)
    told = share(claims, Pools(dict(pools.room)))
    for claim in deaf:
        pools.take(claim, max(0.0, drawn_w[claim.id]) / claim.use["site"])
    followers = share((c for c in claims if c not in deaf), pools)
    return followers | {claim.id: told[claim.id] for claim in deaf}
