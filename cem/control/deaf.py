"""What does not do what it is told counts as what it does, until it follows again: nobody else gets its room."""

from collections.abc import Iterable, Mapping

from cem.control.scene import Scene
from cem.control.sharing import Claim, Pools, Share, share
from cem.model.setpoint import WriteState

STORES = frozenset({WriteState.NOT_EFFECTIVE, WriteState.CONTESTED})
CONSUMERS = STORES | {WriteState.REFUSED, WriteState.BLOCKED}
"""Of a consumer also what was refused: a battery that refuses has its own timer, a charger goes on as it is."""


def stores(scene: Scene) -> frozenset[str]:
    """The batteries that do not follow."""
    return scene.once(_stores)


def _stores(scene: Scene) -> frozenset[str]:
    return frozenset([o.resource_id for o in scene.inputs.outcomes if o.state in STORES])


def shared(scene: Scene, claims: Iterable[Claim], pools: Pools, drawn_w: Mapping[str, float]) -> dict[str, Share]:
    """As `share`; but who does not follow is still told its fair share, while others get what its draw leaves.

    `drawn_w`: the measured power of each consumer.
    """
    claims = tuple(claims)
    ids = frozenset([o.resource_id for o in scene.inputs.outcomes if o.state in CONSUMERS])
    deaf = [c for c in claims if c.id in ids and c.id in drawn_w and c.use["site"] > 0.0]
    if not deaf:
        return share(claims, pools)
    told = share(claims, Pools(dict(pools.room)))
    for claim in deaf:
        pools.take(claim, max(0.0, drawn_w[claim.id]) / claim.use["site"])
    followers = share((c for c in claims if c not in deaf), pools)
    return followers | {claim.id: told[claim.id] for claim in deaf}
