"""`python -m cem.planner_app`: one planning request per line in, one plan per line out, until the input ends.

A line is a JSON object in UTF-8, as `cem.io.frozen_json` writes one. The answer is {"plan": ...} or
{"error": "in words"}; nothing else is ever written to the standard output, whatever a library prints. Who reads it
checks it; here the types are taken as they come, so that no library that validates has to be loaded.
"""

import json
import os
import sys
from typing import BinaryIO

from cem.io.frozen_json import decode, encode
from cem.model.plan import PlanRequest
from cem.planning.solve import Replanner


def reply_to(line: bytes, planner: Replanner) -> bytes:
    """The answer to one line, without its line end; a request that is none is answered with an error."""
    try:
        request = decode(PlanRequest, json.loads(line))
    except (ValueError, TypeError, KeyError, AttributeError) as fault:
        return _reply(error=f"not a planning request: {fault}")
    try:
        return _reply(plan=encode(planner.solve(request)))
    except ValueError as fault:
        return _reply(error=f"not a planning request: {fault}")


def _reply(**answer: object) -> bytes:
    return json.dumps(answer).encode()


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers every line until the input ends."""
    planner = Replanner()
    for line in requests:
        if line.strip():
            answers.write(reply_to(line, planner) + b"\n")
            answers.flush()


def main() -> None:
    """Keeps the real standard output for the answers and sends what libraries print to the standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        serve(sys.stdin.buffer, answers)
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(0)  # the gateway is gone or going: nobody reads any more


if __name__ == "__main__":
    main()
