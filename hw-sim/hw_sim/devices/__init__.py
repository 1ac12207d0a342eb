"""The simulated devices as their makers' protocols show them: registers and topics in front of the physics."""
