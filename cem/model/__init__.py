"""What is true: frozen values that every other room speaks in. Standard library only.

Signs: power *into* a terminal is positive (import, consumption, charging), power *out of* it negative
(export, generation, discharging). The unit is part of every name. Instants are aware UTC; ages, leases
and time-outs are monotonic seconds.
"""
