"""Telegrams in text as the P1 port gives them (P1 companion standard 5.0.2), and as IEC 62056-21 mode D pushes them."""

from datetime import datetime

from hw_sim.devices.sunspec import Value

_PHASES = "ABC"


def crc16_arc(data: bytes) -> int:
    """x16 + x15 + x2 + 1, least significant bit first (6.2)."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def p1_telegram(
    values: dict[str, Value], serial: str, local: datetime, phases: int, *, no_sign: bool, no_power: bool
) -> bytes:
    """A telegram of version 5.0 with its check sum. `no_sign`: the power without a direction; `no_power`: counters."""
    season = "S" if local.dst() else "W"
    lines = [
        r"/SIM5\2HW-SIM",
        "",
        "1-3:0.2.8(50)",
        f"0-0:1.0.0({local:%y%m%d%H%M%S}{season})",
        f"0-0:96.1.1({serial.encode('ascii').hex().upper()})",
        *_energies("1-0:{}.8.1", values),
        "1-0:1.8.2(000000.000*kWh)",
        "1-0:2.8.2(000000.000*kWh)",
        "0-0:96.14.0(0001)",
    ]
    if not no_power:
        lines += _powers(values, phases, no_sign=no_sign)
    body = ("\r\n".join(lines) + "\r\n!").encode("ascii")
    return body + f"{crc16_arc(body):04X}\r\n".encode("ascii")


def d0_telegram(values: dict[str, Value], serial: str, phases: int, *, no_sign: bool, no_power: bool) -> bytes:
    """A mode D telegram as eBZ meters push it: 16.7.0 and the phases signed, no check sum, 7 bits and even parity."""
    watts = _number(values.get("W"))
    lines = ["/SIM5HW-SIM", "", f"1-0:0.0.0*255({serial})", *_energies("1-0:{}.8.0*255", values, digits=8)]
    if not no_power and watts is not None:
        lines.append(f"1-0:15.7.0*255({abs(watts):09.2f}*W)" if no_sign else f"1-0:16.7.0*255({watts:010.2f}*W)")
        for phase, name in zip((36, 56, 76), _PHASES[:phases], strict=False):
            if not no_sign and (power := _number(values.get(f"Wph{name}"))) is not None:
                lines.append(f"1-0:{phase}.7.0*255({power:010.2f}*W)")
    octets = ("\r\n".join(lines) + "\r\n!\r\n").encode("ascii")
    return bytes(byte | (byte.bit_count() & 1) << 7 for byte in octets)


def _number(value: Value) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _energies(code: str, values: dict[str, Value], digits: int = 3) -> list[str]:
    told = ((1, "TotWhImp"), (2, "TotWhExp"))
    return [
        f"{code.format(group)}({wh / 1000:0{7 + digits}.{digits}f}*kWh)"
        for group, name in told
        if (wh := _number(values.get(name))) is not None
    ]


def _powers(values: dict[str, Value], phases: int, *, no_sign: bool) -> list[str]:
    watts = _number(values.get("W"))
    if watts is None:
        return []
    if no_sign:
        return [f"1-0:15.7.0({_kw(abs(watts))}*kW)"]
    lines = [f"1-0:1.7.0({_kw(watts)}*kW)", f"1-0:2.7.0({_kw(-watts)}*kW)"]
    for shift, name in zip((20, 40, 60), _PHASES[:phases], strict=False):
        volts, amps, power = (_number(values.get(key + name)) for key in ("PhVph", "Aph", "Wph"))
        if volts is not None:
            lines.append(f"1-0:{12 + shift}.7.0({volts:05.1f}*V)")
        if amps is not None:
            lines.append(f"1-0:{11 + shift}.7.0({abs(amps):06.2f}*A)")
        if power is not None:
            lines += [f"1-0:{1 + shift}.7.0({_kw(power)}*kW)", f"1-0:{2 + shift}.7.0({_kw(-power)}*kW)"]
    return lines


def _kw(watts: float) -> str:
    return f"{max(0.0, watts) / 1000:06.3f}"
