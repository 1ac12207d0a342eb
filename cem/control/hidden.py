"""Cars that nobody can tell from the load, as their charging points can't be read: what of it is the house's at least.

While one draws, whatever ends may be the house's just as well, and a battery that went on covering it would be emptied
into the car. The house had so much when it was last told apart; since then it has fallen by no more than all that has
fallen since cars and house took most. What falls by more than the house has, and stays so, is a car that has ended.
"""

from cem.control.memory import Hidden
from cem.control.scene import Scene
from cem.control.tuning import LOAD_SURE_TICKS


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
        return before
    now_w = _left_w(scene)
    if before is None:
        return Hidden(known_w, now_w - known_w, (now_w,))
    most_w, lately_w = before.most_w, (*before.lately_w[-LOAD_SURE_TICKS:], now_w)
    fell_w = lately_w[0] - max(lately_w[1:])  # a meter that runs before or behind a charger shows as much for a moment
    if len(lately_w) > LOAD_SURE_TICKS and fell_w > max(0.0, before.house_w):
        most_w, lately_w = most_w - (lately_w[0] - now_w), (now_w,)
    return Hidden(before.house_w, max(most_w, now_w - before.house_w), lately_w)


def _left_w(scene: Scene) -> float:
    return (scene.picture.load_w or 0.0) - scene.picture.switched_w
