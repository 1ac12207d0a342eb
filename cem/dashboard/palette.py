"""The colours, each with one meaning; readable on the ground (7:1 and more); marks say the same in greys."""

GROUND = "#121212"
MUTED = "#a3adb3"
PLAIN = "#e6e6e6"
SUN = "#ffcb6b"
GRID = "#7fb8f0"
BATTERY = "#8fd8a3"
CAR = "#cfa8f5"
GOOD = BATTERY
NOTE = GRID
WARNING = "#ffb454"
ALARM = "#ff8f8f"
