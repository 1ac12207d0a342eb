"""The VTN's side of OpenADR 2.0b over the same objects as that of 3.1. Pure: no socket, no clock, no disk."""
