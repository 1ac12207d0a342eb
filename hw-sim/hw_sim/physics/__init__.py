"""The physics of the house: pure, no await, no clock. Power into a terminal is positive, out of it negative."""
