"""A small XML document as a tree without its namespaces; bounded, and without a document type."""

from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from cem.model.errors import GridError

MOST_NODES = 20_000
DEEPEST = 16


@dataclass(slots=True)
class Node:
    """An element: its name, its text, and what is in it."""

    name: str
    text: str = ""
    inside: list["Node"] = field(default_factory=list)

    def all(self, name: str) -> list["Node"]:
        """The children of that name."""
        return [node for node in self.inside if node.name == name]

    def first(self, name: str) -> "Node | None":
        """The first child of that name."""
        return next(iter(self.all(name)), None)

    def text_of(self, name: str) -> str:
        """The text of the first child of that name; '' where there is none."""
        node = self.first(name)
        return "" if node is None else node.text.strip()


def xml_tree(who: str, content: bytes) -> Node:
    """The root of a document; GridError for what is none, has a document type (entities), or is too deep or too big."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    document = Node("")
    path, count = [document], 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        del attributes
        count += 1
        if count > MOST_NODES or len(path) > DEEPEST:
            raise GridError(f"{who}: an XML answer that is too big or too deep")
        node = Node(name.rpartition(" ")[2])
        path[-1].inside.append(node)
        path.append(node)

    def end(name: str) -> None:
        del name
        path.pop()

    def text(found: str) -> None:
        path[-1].text += found

    def no_document_type(*args: object) -> NoReturn:
        raise GridError(f"{who}: an XML answer with a document type; none is accepted")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = no_document_type
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise GridError(f"{who}: an answer that is not XML: {type(error).__name__}") from error
    return document.inside[0]
