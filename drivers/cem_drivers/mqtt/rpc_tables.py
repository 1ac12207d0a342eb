"""What a profile says of a device that answers requests (JSON-RPC over MQTT), and of the contacts it switches."""

from typing import Literal

from pydantic import Field, model_validator

from cem_drivers.profiles.tables import ControlTable, Table


class Ask(Table):
    """A request that only reads. Each key of its result counts as a message of the topic `into`/key."""

    method: str
    into: str


class Rpc(Table):
    """Requests go to the topic `request` below the device's own, answers come on `<src>/rpc` of the request's `src`."""

    request: str
    presence: str  # topic that each device of the kind retains at the broker; `life.down` tells who is gone
    events: str | None = None  # topic of the notifications of what changed, laid over the last whole status
    identify: Ask
    status: Ask
    every_s: float = Field(gt=0, le=30)  # the status is asked for when nothing of it is newer
    needs: list[str] = Field(min_length=1)  # components by which the probe knows the kind
    lacks: list[str] = Field(default=[])  # components that another kind has


class SetCall(Table):
    """The request that switches one contact: the method and the names of its parameters."""

    method: str
    id: str
    on: str
    lease_s: str  # after so many seconds the contact goes back by itself


class Contacts(ControlTable):
    """A control whose values are positions of one device's switches.

    Each position that is not the contact's own is set with the device's own timer, so that it goes back without us.
    `ids` is the order in which contacts open; they close in the reverse, after all that open, so that no state is
    passed through but those on the way.
    """

    device_timeout_s: float = Field(gt=0)
    ids: list[int] = Field(min_length=1)
    set: SetCall
    topic: str  # of one contact's status, with {id}
    closed: str  # JSON pointer to its position
    timer: str  # JSON pointer to what is there while a timer of the contact runs
    states: dict[str, list[bool]] = Field(min_length=2)  # value -> closed or open, in the order of `ids`
    own: int | Literal["found"]  # the value without us; found: the positions to which the contacts go back
    stagger_s: float = Field(default=2.0, ge=0)  # so much earlier does each contact go back than the one after it

    @model_validator(mode="after")
    def _whole(self) -> "Contacts":
        if any(not value.isdecimal() for value in self.states):
            raise ValueError("'states': the keys are the control's values, whole numbers")
        if any(len(positions) != len(self.ids) for positions in self.states.values()):
            raise ValueError("'states': one position for each of 'ids'")
        if len({tuple(positions) for positions in self.states.values()}) != len(self.states):
            raise ValueError("'states': two values with the same positions")
        if isinstance(self.own, int) and str(self.own) not in self.states:
            raise ValueError(f"'own': {self.own} is none of {', '.join(self.states)}")
        if self.stagger_s * len(self.ids) >= self.device_timeout_s:
            raise ValueError("'stagger_s': leaves the first contact no time")
        return self

    def topic_of(self, contact: int) -> str:
        """The topic of one contact's status."""
        return self.topic.format(id=contact)
