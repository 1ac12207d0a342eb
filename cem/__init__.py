"""Customer Energy Manager: the home's side of the Smart Grid Connection Point (IEC TS 62746-3)."""

__version__ = "0.1.0"
