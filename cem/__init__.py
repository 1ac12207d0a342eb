"""Customer Energy Manager: the home's side of the Smart Grid Connection Point (IEC TS 62746-3)."""

import os

# Nothing here multiplies large matrices. The threads that numpy's OpenBLAS starts as it is loaded would only wait for
# work, spinning at first: as much processor time as all else that a planning process loads, on each further core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
