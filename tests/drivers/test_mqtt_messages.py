"""What a device said last, and what its points make of it: kept between polls, and never older than the messages."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cem_drivers.mqtt.messages import Messages
from cem_drivers.mqtt.rows import PointRow

ROWS = [
    PointRow.model_validate(row)
    for row in (
        {"id": "ev.power_w", "topic": "nrg", "json": "/11"},
        {"id": "ev.current_a", "topic": "nrg", "json": ["/4", "/5"], "fold": "max"},
        {"id": "ev.state", "topic": "car", "map": {"1": "A", "2": "C"}, "on_change": True},
        {"id": "ev.phases", "topic": "nrg", "by_id": {"ids": "amp", "are": [5, 7]}, "fold": "max"},
        {"id": "ev.soc_pct", "topic": ["wh", "amp"], "fold": "sum", "missing": "zero", "count": "frc"},
        {"id": "ev.session_wh", "topic": "wh", "factor": 2.0, "range": [0.0, 100.0]},
        {
            "id": "ev.limit_a",
            "cases": [
                {"topic": "frc", "equals": 1, "value": 0.0},
                {"topic": "alw", "equals": True, "from": "amp", "also": [{"topic": "frc", "equals": 0}]},
            ],
        },
    )
]
payloads = st.sampled_from(
    [0, 1, 2, 6, 16, 99, None, True, False, "x", [0.0] * 4 + [5, 7] + [0] * 5 + [1200.5], [1], {"11": 3, "4": 1}]
)
said = st.tuples(
    st.sampled_from(["take", "retained", "put", "overlay", "drop", "forget"]),
    st.sampled_from(["nrg", "car", "wh", "frc", "alw", "amp", "other"]),
    payloads,
)


def tell(messages: Messages, how: str, topic: str, payload: Any, now_s: float) -> None:
    """One message, or what else changes what is held."""
    if how in {"take", "retained"}:
        messages.take(topic, payload, how == "retained", now_s)
    elif how == "put":
        messages.put(topic, payload, now_s)
    elif how == "overlay":
        messages.overlay(topic, {"11": payload}, now_s)
    elif how == "drop":
        messages.drop(topic)
    else:
        messages.forget()


@given(st.lists(said, max_size=12))
def test_a_point_that_is_looked_at_all_the_time_tells_what_one_tells_that_never_was(
    course: list[tuple[str, str, Any]],
) -> None:
    looked_at = Messages()
    for number, (how, topic, payload) in enumerate(course, start=1):
        tell(looked_at, how, topic, payload, float(number))
        anew = Messages()
        for earlier, one in enumerate(course[:number], start=1):
            tell(anew, *one, now_s=float(earlier))
        for row in ROWS:
            assert looked_at.value(row) == anew.value(row)
            assert looked_at.taken_at_s(row) == anew.taken_at_s(row)
