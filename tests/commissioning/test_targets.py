"""Addresses as people type them."""

import pytest

from cem.commissioning.targets import Link, LinkKind, address, parse_target

TCP = LinkKind.MODBUS_TCP


@pytest.mark.parametrize(
    ("text", "kind", "links"),
    [
        ("192.0.2.4:5021/3", TCP, [{"kind": "tcp", "host": "192.0.2.4", "port": 5021, "unit": 3}]),
        ("meter.local", TCP, [{"kind": "tcp", "host": "meter.local", "port": 502}]),
        ("[fe80::1]:502", TCP, [{"kind": "tcp", "host": "fe80::1", "port": 502}]),
        ("broker", LinkKind.MQTT, [{"kind": "mqtt", "host": "broker", "port": 1883}]),
        ("192.0.2.4:1883", None, [{"kind": "mqtt", "host": "192.0.2.4", "port": 1883}]),
        ("mqtt://192.0.2.4:5021", None, [{"kind": "mqtt", "host": "192.0.2.4", "port": 5021}]),
        ("modbus://192.0.2.4:1883", None, [{"kind": "tcp", "host": "192.0.2.4", "port": 1883}]),
        ("serial:/dev/ttyUSB0", None, [{"kind": "serial", "device": "/dev/ttyUSB0"}]),
        ("serial:/dev/ttyUSB0@9600", None, [{"kind": "serial", "device": "/dev/ttyUSB0", "baud": 9600}]),
        ("/dev/ttyUSB0", LinkKind.SERIAL, [{"kind": "serial", "device": "/dev/ttyUSB0"}]),
        ("serial-tcp://192.0.2.4:2001", None, [{"kind": "serial-tcp", "host": "192.0.2.4", "port": 2001}]),
        ("serial-tcp://[::1]:2001", LinkKind.SERIAL, [{"kind": "serial-tcp", "host": "::1", "port": 2001}]),
        (
            "192.0.2.4:5021",
            None,
            [
                {"kind": "tcp", "host": "192.0.2.4", "port": 5021},
                {"kind": "mqtt", "host": "192.0.2.4", "port": 5021},
            ],
        ),
    ],
)
def test_an_address_means_its_links(text: str, kind: LinkKind | None, links: list[Link]) -> None:
    assert parse_target(text, kind) == links


@pytest.mark.parametrize(
    ("text", "kind", "link"),
    [
        ("192.0.2.4=keba.p30", TCP, {"kind": "tcp", "host": "192.0.2.4", "port": 502, "profile": "keba.p30"}),
        ("tls://h=mine.toml", None, {"kind": "tls", "host": "h", "port": 802, "profile": "mine.toml"}),
        ("h:5021/7=a.b", None, {"kind": "tcp", "host": "h", "port": 5021, "unit": 7, "profile": "a.b"}),
        ("rtu-tcp://h/3=a.b", TCP, {"kind": "rtu-tcp", "host": "h", "port": 502, "unit": 3, "profile": "a.b"}),
        ("rtu:/dev/t@9600=a.b", None, {"kind": "rtu", "device": "/dev/t", "baud": 9600, "profile": "a.b"}),
        ("rtu:/dev/t@9600/2=a.b", None, {"kind": "rtu", "device": "/dev/t", "baud": 9600, "unit": 2, "profile": "a.b"}),
    ],
)
def test_a_person_may_say_what_is_there(text: str, kind: LinkKind | None, link: Link) -> None:
    assert parse_target(text, kind) == [link]


def test_any_way_to_a_modbus_device_will_do_where_one_is_meant() -> None:
    assert parse_target("tls://h", TCP) == [{"kind": "tls", "host": "h", "port": 802}]


def test_several_units_make_several_links() -> None:
    assert [link["unit"] for link in parse_target("h:502/1-3,200", TCP)] == [1, 2, 3, 200]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "h:99999",
        "h:0",
        "h:502/x",
        "h:502/0",
        "h:502/300",
        "h:502/3-1",
        "h:502/1-",
        "ftp://h",
        "h:1:2",
        "h:502=",
    ],
)
def test_what_is_no_address_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"needed|exist|units are|a unit is|profile is missing"):
        parse_target(text)


@pytest.mark.parametrize("text", ["serial:ttyUSB0", "serial:/dev/x@a", "serial-tcp://h", "serial-tcp://h:99999"])
def test_what_is_no_line_of_a_meter_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is no line of a meter; needed: a device such as"):
        parse_target(text)
    with pytest.raises(ValueError, match="is no line of a meter"):
        parse_target("192.0.2.4:2001", LinkKind.SERIAL)


def test_an_address_of_the_other_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="of kind mqtt is meant"):
        parse_target("modbus://h:502", LinkKind.MQTT)


@pytest.mark.parametrize(("text", "words"), [("h:502/7", "h:502 unit 7"), ("[::1]:502", "[::1]:502")])
def test_a_link_is_shown_as_an_address(text: str, words: str) -> None:
    assert address(parse_target(text, TCP)[0]) == words
