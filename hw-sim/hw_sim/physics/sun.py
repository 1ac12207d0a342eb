"""Where the sun stands and what a clear sky gives on a tilted plane."""

import math

SOLAR_CONSTANT = 1361.0  # W/m²


def sun_position(unix_s: float, latitude_deg: float, longitude_deg: float) -> tuple[float, float]:
    """Elevation and azimuth (clockwise from north) of the sun in radians, good to about half a degree.

    Low-precision formulas as in the Astronomical Almanac, section C.
    """
    n = unix_s / 86400.0 - 10957.5  # days since 2000-01-01 12:00 UTC
    mean_longitude = math.radians((280.460 + 0.9856474 * n) % 360.0)
    anomaly = math.radians((357.528 + 0.9856003 * n) % 360.0)
    longitude = mean_longitude + math.radians(1.915) * math.sin(anomaly) + math.radians(0.020) * math.sin(2 * anomaly)
    obliquity = math.radians(23.439 - 0.0000004 * n)
    right_ascension = math.atan2(math.cos(obliquity) * math.sin(longitude), math.cos(longitude))
    declination = math.asin(math.sin(obliquity) * math.sin(longitude))
    sidereal = math.radians(((18.697374558 + 24.06570982441908 * n) % 24.0) * 15.0 + longitude_deg)
    hour_angle = sidereal - right_ascension
    latitude = math.radians(latitude_deg)
    sin_elevation = math.sin(latitude) * math.sin(declination) + math.cos(latitude) * math.cos(declination) * math.cos(
        hour_angle
    )
    elevation = math.asin(max(-1.0, min(1.0, sin_elevation)))
    east = -math.cos(declination) * math.sin(hour_angle)
    north = math.sin(declination) * math.cos(latitude) - math.cos(declination) * math.sin(latitude) * math.cos(
        hour_angle
    )
    return elevation, math.atan2(east, north) % (2 * math.pi)


def clear_sky_w_per_m2(elevation: float, azimuth: float, tilt_deg: float, azimuth_deg: float) -> float:
    """Irradiance on the plane under a clear sky: beam through the air mass (Meinel) plus a tenth of it diffuse."""
    if elevation <= 0.0:
        return 0.0
    air_mass = 1.0 / (math.sin(elevation) + 0.50572 * (math.degrees(elevation) + 6.07995) ** -1.6364)
    beam = SOLAR_CONSTANT * math.pow(0.7, math.pow(air_mass, 0.678))
    tilt = math.radians(tilt_deg)
    incidence = math.sin(elevation) * math.cos(tilt) + math.cos(elevation) * math.sin(tilt) * math.cos(
        azimuth - math.radians(azimuth_deg)
    )
    return beam * max(0.0, incidence) + 0.1 * beam * (1.0 + math.cos(tilt)) / 2.0
