"""Cross-checks of what the grid operator signals by wire."""

from collections.abc import Callable, Iterator

from cem.config.draft import Draft
from cem.config.words import fault, one_of, shown
from cem.model.resource import Contact, Role
from cem.model.site import GuaranteedMinimum


def contacts_not_of_role(draft: Draft) -> Iterator[str]:
    """The role contacts names its contacts, and no other role has any."""
    for path, _, resource in draft.resources():
        if resource.role is Role.CONTACTS and not resource.contacts and draft.sure(f"{path}.contacts"):
            yield fault(f"{path}.contacts", "missing on a resource of the role contacts", one_of(list(Contact)))
        elif resource.role is not Role.CONTACTS and resource.contacts:
            yield fault(f"{path}.contacts", f"not of the role {resource.role}", "needed: role contacts")


def share_of_nothing(draft: Draft) -> Iterator[str]:
    """A share of the installed power needs to know that power."""
    roofs = [(path, resource) for path, _, resource in draft.resources() if resource.role is Role.PV]
    for path, _, resource in draft.resources():
        shares = sorted(set(resource.contacts) - {Contact.W4, Contact.ISLAND})
        if resource.role is not Role.CONTACTS or not shares or resource.max_generation_w is not None:
            continue
        untold = [roof for roof, pv in roofs if pv.max_generation_w is None and draft.sure(f"{roof}.max_generation_w")]
        if untold or (not roofs and draft.devices_whole):
            where = f"{untold[0]} tells none" if untold else "there is no roof"
            yield fault(
                f"{path}.max_generation_w",
                f"missing, and {where}: {shares[0]} leaves a share of it",
                "give the installed power here, or max_generation_w of every roof",
            )


def dimmed_to_nothing(draft: Draft) -> Iterator[str]:
    """W4 dims to the guaranteed minimum, so the site has to have one."""
    for path, _, resource in draft.resources():
        if Contact.W4 in resource.contacts and draft.guaranteed_minimum != GuaranteedMinimum.PARAGRAPH_14A:
            yield fault(
                f"{path}.contacts",
                "'w4' dims to the guaranteed minimum, and control.guaranteed_minimum names none",
                "set control.guaranteed_minimum = '14a'",
            )


def contacts_called_as_a_provider(draft: Draft) -> Iterator[str]:
    """A source of limits has a name of its own."""
    providers = {provider.id: index for index, provider in draft.providers.items()}
    for path, _, resource in draft.resources():
        if resource.role is Role.CONTACTS and resource.id in providers:
            yield fault(
                f"{path}.id", shown(resource.id), f"provider[{providers[resource.id]}] is called so; choose another"
            )


CONTACT_CHECKS: tuple[Callable[[Draft], Iterator[str]], ...] = (
    contacts_not_of_role,
    share_of_nothing,
    dimmed_to_nothing,
    contacts_called_as_a_provider,
)
