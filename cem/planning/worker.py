"""`python -m cem.planning.worker`: one planning request per line in, one plan per line out, until the input ends.

A line is a JSON object in UTF-8. The answer is {"plan": ...} or {"error": "in words"}; nothing else is ever written to
the standard output, whatever a library prints.
"""

import os
import sys
from dataclasses import dataclass
from typing import BinaryIO, Final

from pydantic import TypeAdapter, ValidationError

from cem.model.plan import Plan, PlanRequest
from cem.planning.solve import Replanner


@dataclass(frozen=True, slots=True)
class Reply:
    """One line of the answer; exactly one of the two is set."""

    plan: Plan | None = None
    error: str | None = None


REQUEST: Final = TypeAdapter(PlanRequest)
REPLY: Final = TypeAdapter(Reply)


def reply_to(line: bytes, planner: Replanner) -> bytes:
    """The answer to one line, without its line end; a request that is none is answered with an error."""
    try:
        return REPLY.dump_json(Reply(plan=planner.solve(REQUEST.validate_json(line))))
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return REPLY.dump_json(Reply(error=f"not a planning request: {where}: {first['msg']}"))
    except ValueError as fault:
        return REPLY.dump_json(Reply(error=f"not a planning request: {fault}"))


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
