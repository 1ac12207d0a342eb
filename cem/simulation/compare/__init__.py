"""Policies compared at one simulated home under the same weather, against what perfect foresight would have cost."""
