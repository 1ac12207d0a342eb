"""The simulated house: physics, device servers on real bytes, faults. Imports nothing of cem or cem_drivers."""
