"""The real gateway and the simulated home on one virtual clock, for `cem simulate` and for tests."""
