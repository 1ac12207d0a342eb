"""The loop's constants, each with its reason."""

LEASE_S = 10.0  # a set point that is not renewed for this long is void; three missed ticks are no loss
SKEW_HOLD_S = 2.0  # how long a former load stands for one that was not read together; then the meter counts
SKEW_S = 0.6  # readings further apart than this are not summed while something moves
MOVE_SHARE = 0.8  # how much of a difference the battery makes up in one tick; 1.0 overshoots with a lag of one tick
SLOW_TICK_S = 10.0  # between two ticks: meter and devices have followed long since, and nothing can overshoot
BATTERY_DEAD_BAND_W = 20.0
RESERVE_HYSTERESIS_PCT = 2.0
EV_MIN_ON_S = 300.0  # contactor wear
EV_MIN_OFF_S = 300.0
START_S = 10.0  # the meter may need so long to be read for the first time, and the providers to be heard
EMPTY_LOST_S = 20.0  # a meter that is stale for longer lets no car begin at a charging point without one
EMPTY_HELD_S = (
    21600.0  # and is held for so long after there was no room: at most eight writes a day, of some chargers' 20
)
METER_LOST_STOP_S = 60.0  # a stale meter derates the car at once and stops it after this
EXPORT_MARGIN_W = 50.0  # stays this far inside an export limit: the sun moves between two ticks
IMPORT_MARGIN_W = 50.0
PHASE_MARGIN_A = 0.2  # of a fuse, where the meter tells its current
FUSE_COOLS_S = 300.0  # what flowed above a fuse is paid back in this time: its mean of ten minutes stays below it
FUSE_KEPT_SHARE = 0.1  # of a fuse, at most, for that
FUSE_STEP_SHARE = 0.5  # of a fuse is a step of the load that ticks far apart leave room for,
FUSE_STEP_TICKS = 3.0  # for so many of them, in the mean of ten minutes:
FUSE_STEPS_SHARE = 0.05  # of the fuse, at most, for that

METER_LATE_S = 4.0  # a meter may show a change so much later than the device that made it
METER_HOLDS_S = 12.0  # so long a meter that is asked seldom may tell the same value as if it were new
METER_SAME_W = 50.0  # a value nearer to nothing than this may come again by itself
METER_LATE_MOST_S = 20  # whole seconds, of one whose lateness can be found out
METER_SURE_S = 2.0  # so much earlier or later than the meter is known to be late, where that is known
LOAD_SURE_TICKS = 3  # a change of the load that stays for so long is real, whatever moves meanwhile

EV_FOLLOW_S = 20.0  # a car takes this long to follow a new offer; before that its measured current says nothing
EV_TOLD_S = 5.0  # a charger takes an offer back within this, and a car heeds it (IEC 61851-1)
EV_HEARD_S = 15.0  # a charging point tells its power every ten seconds at least; one that is silent for longer is lost
EV_SPARE_A = 2.0  # above what the car is seen to draw, so that it can ask for more
EV_IDLE_S = 60.0  # a car that does not draw keeps others waiting no longer than this
EV_RETRY_S = 300.0  # and is then asked again this often
EV_SATED_S = 900.0  # after so long it is full, or wants nothing; a sleeping one wakes sooner
EV_DRAWS_W = 100.0
EV_STOPS_BELOW_A = 8.0  # some cars end the charge below this although IEC 61851-1 allows 6 A
EV_TURN_S = 900.0  # when not all minimums fit, the turn passes on after this
EV_PHASES_PAUSE_S = 300.0  # between two changes of the number of phases
EV_PHASES_SURE_S = 120.0  # the other number must fit better for so long
EV_LATE_SHARE = 0.1  # a goal counts as late when less than this share of its time is left to spare
EV_STEP_UP_SHARE = 1.1  # a pause ends when this much more than the smallest current is there

HEAT_PUMP_MIN_STAY_S = 600.0  # in one SG Ready state
LOCK_FOLLOW_S = 10.0  # a heat pump that is locked stops within this, or finishes its own least run first
HEAT_PUMP_LOCK_DAY_S = 7200.0  # SG Ready: locked at most two hours a day
SWITCHED_HEEDS_S = 10.0  # a load that is measured to draw so long after it was told to be off does not heed it
SWITCHED_LATE_S = 30.0  # a contact that does not stand as told for so long went back by itself
SWITCHED_LOST_S = 60.0  # so long do contacts keep what they were told without us, at most
SWITCHED_RISES_S = 60.0  # what is switched on draws its full power by then: a compressor rises slowly
EASED_STOPS_S = 20.0  # by then a heat pump that is asked for less has stopped, and tells so, or runs on
LOAD_SURE_S = 60.0  # a surplus must last this long before a load is switched on for it
SURPLUS_ON_SHARE = 1.1

FROZEN_AFTER_S = 300.0
FROZEN_SEEN_S = 60.0  # a value that was not read for longer may have been another meanwhile
FROZEN_SHARE = 0.2
FROZEN_WH = 200.0  # registers of meters count in steps of up to 100 Wh
IMPLAUSIBLE_RATINGS = 1.5
IMPLAUSIBLE_FUSES = 3.0
FUSE_CARRIES = 1.45  # times its rating for an hour at most (IEC 60898-1): more is believed when it comes twice
SIGN_STEP_W = 250.0  # smaller steps drown in the noise of the house
SIGN_SHARE = 0.08  # of the rating: the same for large sites
SIGN_WINDOW_S = 20.0  # in so long a run away from zero moves the battery by enough to tell
SIGN_GAP_S = 10.0  # what is read less often tells nothing: too much else moves meanwhile
SIGN_SURE_TICKS = 3
SIGN_STOP_S = 900.0

STORAGE_EFFICIENCY = 0.95  # one way, where nobody tells
VALUE_TOLERANCE = 0.02  # prices closer than this share are the same: no regime flickers on rounding

ISLAND_LOAD_SHARE = 0.9  # of what the batteries can give: a motor's start must not darken the house
ISLAND_STEP_PCT = 5.0  # above the reserve, per priority that is shed
BLACK_START_SETTLE_S = 10.0  # a battery carries the house alone for so long before anything is added
BLACK_START_STEP_S = 20.0  # between two loads: a motor's start and the battery's answer are over by then
