"""The loop's constants, each with its reason."""

LEASE_S = 10.0  # a set point that is not renewed for this long is void; three missed ticks are no loss
SKEW_S = 0.6  # readings further apart than this are not summed while something moves
MOVE_SHARE = 0.8  # how much of a difference the battery makes up in one tick; 1.0 overshoots with a lag of one tick
BATTERY_DEAD_BAND_W = 20.0
RESERVE_HYSTERESIS_PCT = 2.0
EV_MIN_ON_S = 300.0  # contactor wear
EV_MIN_OFF_S = 300.0
METER_LOST_STOP_S = 60.0  # a stale meter derates the car at once and stops it after this
EXPORT_MARGIN_W = 50.0  # stays this far inside an export limit: the sun moves between two ticks
IMPORT_MARGIN_W = 50.0
