"""The owner asks for something: what, then for how long; nothing is sent before both are chosen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Label, OptionList

from cem.dashboard import words
from cem.model.request import PLAIN, SUITS, RequestKind
from cem.model.status import Status


@dataclass(frozen=True, slots=True)
class Ask:
    """A chosen act; `withdraws` names the act to take back instead."""

    text: str
    resource_id: str = ""
    kind: RequestKind = RequestKind.CHARGE_NOW
    until: datetime | None = None
    withdraws: str | None = None


def acts(status: Status) -> list[Ask]:
    """What may be asked in this house now: acts to take back first."""
    names = {resource.id: resource.name for resource in words.resources(status)}
    found = [
        Ask(f"end: {names.get(r.resource_id, r.resource_id)}, {words.REQUEST[r.kind]}", withdraws=r.id)
        for r in status.requests
    ]
    for resource in words.resources(status):
        found += [
            Ask(f"{resource.name}: {words.REQUEST[kind]}", resource.id, kind)
            for kind, roles in SUITS.items()
            if resource.role in roles and kind in PLAIN
        ]
    return found


class AskScreen(ModalScreen[Ask | None]):
    """Two lists, one after the other. Dismissed with the act, or None when the owner leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Leave")]

    def __init__(self, status: Status) -> None:
        super().__init__()
        self._status = status
        self._acts: Sequence[Ask] = acts(status)
        self._ends = words.until_choices(status.at, status.zone)
        self._chosen: Ask | None = None

    def compose(self) -> ComposeResult:
        """The question and its answers."""
        with Vertical(id="ask"):
            yield Label("What should the house do?", id="question")
            yield OptionList(*(act.text for act in self._acts), id="answers")
            yield Label("Enter chooses, Esc leaves. Safety and grid limits hold.", id="hint")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """First the act, then its end."""
        if self._chosen is None:
            self._chosen = self._acts[event.option_index]
            if self._chosen.withdraws:
                self.dismiss(self._chosen)
                return
            self.query_one("#question", Label).update(f"{self._chosen.text}. How long?")
            event.option_list.clear_options()
            event.option_list.add_options([self._words(text, until) for text, until in self._ends])
            event.option_list.highlighted = 0
            return
        chosen, (_, until) = self._chosen, self._ends[event.option_index]
        self.dismiss(Ask(chosen.text, chosen.resource_id, chosen.kind, until))

    def _words(self, text: str, until: datetime) -> str:
        end = f"until {words.moment(until, self._status)}"
        return f"{text}, {end}" if text else end
