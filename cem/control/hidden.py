"""Cars that nobody can tell from the load, as their charging points can't be read: what of it is the house's at least.

While one draws, whatever ends may be the house's just as well, and a battery that went on covering it would be emptied
into the car. The house had so much when it was last told apart; since then it has fallen by no more than all that has
fallen since cars and house took most. What falls by more than the house has, or to no more than that, and stays there,
is a car that has ended.
"""

from cem.control.memory import Hidden
from cem.control.scene import Scene
from cem.control.tuning import EV_DRAWS_W, LOAD_SURE_TICKS
from cem.model.values import replace


def followed(scene: Scene) -> Hidden | None:
    """What is known of this tick's hidden cars; None: there is none, or it was never known what the house takes."""
    return scene.once(_followed)


def house_w(scene: Scene) -> float:
    """What the house takes at least that is no car, heat pump or load; beside a hidden car."""
    known_w, hidden = scene.memory.house_w or 0.0, followed(scene)
    return known_w if hidden is None else min(known_w, max(0.0, _left_w(scene) - hidden.most_w))


def _followed(scene: Scene) -> Hidden | None:
    before, known_w = scene.memory.hidden, scene.memory.house_w
    if not scene.hidden_car or known_w is None:
        return None
    if scene.picture.load_w is None:
        return None if before is None else replace(before, lately_w=())
    now_w = _left_w(scene)
    if before is None:
        return Hidden(known_w, now_w - known_w, (now_w,))
    house_w, most_w, lately_w = before.house_w, before.most_w, (*before.lately_w[-LOAD_SURE_TICKS:], now_w)
    if most_w <= EV_DRAWS_W:  # none has begun yet
        house_w = min(house_w, known_w)
    if len(lately_w) > LOAD_SURE_TICKS:  # a meter that runs before or behind a charger shows as much for a moment
        ended = lately_w[0] - max(lately_w[1:]) > max(0.0, house_w)
        if ended:
            most_w, lately_w = most_w - (lately_w[0] - now_w), (now_w,)
        elif max(lately_w) <= house_w + EV_DRAWS_W:
            most_w = 0.0
    return Hidden(house_w, max(most_w, now_w - house_w), lately_w)


def _left_w(scene: Scene) -> float:
    return (scene.picture.load_w or 0.0) - scene.picture.switched_w
