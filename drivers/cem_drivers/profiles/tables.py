"""The tables that every kind of device profile shares. An unknown key is a fault, nothing is converted."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cem.driver import POINTS, Control, Role

Status = Literal["draft", "documented", "replayed", "field-verified"]
"""draft is read and never written; documented: every fact from the maker's own document; replayed: recorded
registers are read rightly; field-verified: written and verified on the device."""

Range = Annotated[list[float], Field(min_length=2, max_length=2)]


class Table(BaseModel):
    """A table of a profile."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Evidence(Table):
    """Where the profile's facts come from."""

    doc: str = Field(min_length=1)
    revision: str = Field(min_length=1)
    says: str = ""


class Verify(Table):
    """Where the effect shows, and how near and how soon it must."""

    effect: str
    tol: float = Field(ge=0)
    within_s: float = Field(gt=0, le=600)


class Budget(Table):
    """How often may be written."""

    min_interval_s: float = Field(ge=0)
    daily: int | None = Field(default=None, gt=0)


WHOLE_A = 1.0
"""Charging currents are told in whole amperes."""


def too_coarse(control_id: str, dead_band: float) -> bool:
    """Whether the smallest step that is ever told would not be sent."""
    return control_id == "ev.limit_a" and dead_band >= WHOLE_A


class ControlTable(Table):
    """What a control of an MQTT device says of itself, however it is written."""

    id: str
    storage: Literal["ram", "levelled", "flash", "unknown"] = "unknown"  # levelled: flash with wear levelling
    budget: Budget
    dead_band: float = Field(default=0, ge=0)
    refresh_s: float | None = Field(default=None, gt=0)
    device_timeout_s: float | None = Field(default=None, gt=0)
    timeout_proven: bool = False
    confirm_s: float = Field(default=3, gt=0, le=10)
    falls_back_to: str
    verify: Verify | None = None

    @model_validator(mode="after")
    def _worn(self) -> "ControlTable":
        if self.storage != "ram" and self.budget.daily is None:
            raise ValueError("'budget.daily' is needed: what is written survives a restart")
        if too_coarse(self.id, self.dead_band):
            raise ValueError("'dead_band' is below 1: a step of 1 A must be sent")
        return self


class ProfileTable(Table):
    """What every profile begins with."""

    profile: Literal[1]
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    title: str = Field(min_length=1)
    roles: list[str] = Field(min_length=1)
    status: Status
    evidence: list[Evidence] = Field(min_length=1)

    @model_validator(mode="after")
    def _roles_are_known(self) -> "ProfileTable":
        for role in self.roles:
            if role not in {known.value for known in Role}:
                raise ValueError(f"roles: {role!r} is not a role; allowed: {', '.join(Role)}")
        return self


def vocabulary(roles: list[str]) -> dict[str, str]:
    """Every point that devices of these roles may have, 'role.point' to unit."""
    known = {role.value for role in Role}
    return {f"{role}.{point}": unit for role in roles if role in known for point, unit in POINTS[Role(role)].items()}


def controls_of(roles: list[str]) -> list[str]:
    """Every control that devices of these roles may carry.

    Not the reserve: a release gives back what was found, and a profile's release is a constant.
    """
    return [
        control.value
        for control in Control
        if control.value.split(".", 1)[0] in roles and control is not Control.BATTERY_RESERVE_PCT
    ]


def keys_at(root: type[Table], loc: tuple[str | int, ...]) -> list[str]:
    """The keys that the table at a location may have, as they are written; [] if there is no table."""
    table: type[Table] | None = root
    for part in loc:
        if isinstance(part, int):
            continue
        if table is None:
            return []
        fields = {field.alias or name: field.annotation for name, field in table.model_fields.items()}
        table = _table_in(fields.get(part)) if part in fields else table  # a union's tag is no key of the file
    return [] if table is None else [field.alias or name for name, field in table.model_fields.items()]


def _table_in(annotation: Any) -> type[Table] | None:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    return next((table for item in get_args(annotation) if (table := _table_in(item)) is not None), None)
