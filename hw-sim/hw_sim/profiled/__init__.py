"""Any Modbus device of a profile file as a simulated one. Reads the files by itself: nothing of the gateway's."""
