"""What a meter at the connection point measures, under the names of SunSpec model 203; import is positive."""

from hw_sim.devices.sunspec import Value
from hw_sim.physics.house import House, currents


def grid_values(house: House) -> dict[str, Value]:
    """The whole and the phases: powers, signed currents, voltages, frequency, energies."""
    volts = house.grid.voltages_v
    powers = one, two, three = house.grid_phases_w
    a, b, c = currents(powers, volts)
    a, b, c = a if one >= 0.0 else -a, b if two >= 0.0 else -b, c if three >= 0.0 else -c
    live: dict[str, Value] = {
        "A": a + b + c,
        "AphA": a,
        "PhV": sum(volts) / house.home.grid.phases,
        "PhVphA": volts[0],
        "Hz": house.grid.frequency_hz,
        "W": house.grid_w,
        "WphA": one,
        "VA": abs(house.grid_w),
        "PF": 100.0,
        "TotWhExp": house.export_wh,
        "TotWhImp": house.import_wh,
    }
    live.update(AphB=b, AphC=c, PhVphB=volts[1], PhVphC=volts[2], WphB=two, WphC=three)
    return live
