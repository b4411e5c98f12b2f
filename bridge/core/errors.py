"""Every error the bridge raises on purpose, each with a verdict and a hint.

BridgeError
├── ConfigError            settings, mapping or usage is wrong            exit 2
├── SchemaOutOfDate        the state DB needs `bridge db upgrade`          exit 2
├── StateDbError           the state DB cannot be used                    exit 2
│   ├── StateDbBusy        another process is writing to it               exit 6
│   └── StateDbReplaced    its file is gone, or is another one            exit 2
├── LeaseHeld              another process writes to this state DB        exit 6
├── RunStopped             the process is to end                          (nothing is lost)
├── PlanMoved              what a saved plan was based on has changed     exit 2
├── BrakeTripped           a brake stops a saved plan                     exit 4
├── DrainIncomplete        a feed could not be read to a proven end       (the watermark stays)
│   └── FeedDeaf           it answers, and nothing is collected for us
└── SideError              one side answered, or failed to answer
    ├── Unreachable        no connection, TLS failure, time-out before an answer      retry
    ├── OutcomeUnknown     a write was sent and no trustworthy answer came back       in doubt
    ├── InvalidResponse    an answer came that is not what the documents promise      retry
    ├── Throttled          asked to wait                                              retry
    ├── TooLate            not sent: what it rests on was read too long ago           retry
    ├── ServerError        5xx to a read                                              retry
    ├── SignInRefused      wrong credentials, clock skew, wrong region                stop
    ├── Forbidden          no permission for this call                                stop
    ├── Ambiguous          too many people match one address                          hold
    ├── NotFound           what was addressed does not exist                          hold
    ├── Refused            a permanent no for this person or payload                  hold
    ├── AlreadyDone        refused because it is so already                           done
    ├── PreconditionFailed a conditional write found another state than was read      in doubt
    └── MappingStale       a mapped thing is gone at that side                        fix the mapping
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Verdict(StrEnum):
    """What the engine does about an error."""

    RETRY = "retry"  # later, the same call may succeed
    IN_DOUBT = "in_doubt"  # it may have been applied: read back before anything else
    HOLD = "hold"  # no repetition helps; an operator decides
    STOP = "stop"  # nothing on this side can go on
    DONE = "done"  # the goal is reached already
    FIX_CONFIG = "fix_config"  # the mapping or the account must be changed first


class BridgeError(Exception):
    """What happened, why, and how to fix it. `str()` never holds an address, a name or a secret."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what} {self.hint}".strip()


class ConfigError(BridgeError):
    """Settings, mapping or usage cannot be worked with. `problems` lists all of them."""

    exit_code = 2

    def __init__(self, what: str, *, problems: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(what, hint=hint)
        self.problems = problems

    def __str__(self) -> str:
        lines = [self.what, *(f"  - {problem}" for problem in self.problems), self.hint]
        return "\n".join(line for line in lines if line)


class SchemaOutOfDate(BridgeError):
    """The state DB's schema is not the one this program needs."""

    exit_code = 2


class StateDbError(ConfigError):
    """The state DB is not there, or cannot be read or written; the message names it and the cause."""

    exit_code = 2


class StateDbBusy(StateDbError):
    """Another process is writing to the state DB, and took longer than this one waits."""

    exit_code = 6


class StateDbReplaced(StateDbError):
    """The file of the state DB is gone, or is not the one that was opened: what is stored there is lost."""


class LeaseHeld(BridgeError):
    """Another process holds the right to write to this state DB."""

    exit_code = 6


class RunStopped(BridgeError):
    """The process is to end: what waits or reads ends, and the next run goes on."""


class BrakeTripped(BridgeError):
    """A brake stops a saved plan before anything of it is sent. `reasons` are those of the brakes."""

    exit_code = 4

    def __init__(self, what: str, *, reasons: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(what, hint=hint)
        self.reasons = reasons


class PlanMoved(BridgeError):
    """What a saved plan was based on has changed."""

    exit_code = 2


class DrainIncomplete(BridgeError):
    """A feed could not be read to a proven end; what was read is kept, its watermark stays."""


class FeedDeaf(DrainIncomplete):
    """A feed answers, and nothing is collected for it."""


class SideError(BridgeError):
    """One side refused, failed or did not answer.

    `operation` is the vendor's name of the call, `status` the HTTP status if there was one, `code` the
    vendor's own error code, `retry_after` seconds to wait if the side asked for it.
    """

    verdict: ClassVar[Verdict] = Verdict.RETRY
    stops_side: ClassVar[bool] = False  # True: no other call to this side would fare better now
    exit_code = 5

    def __init__(
        self,
        what: str,
        *,
        side: str,
        operation: str,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(what, hint=hint)
        self.side = side
        self.operation = operation
        self.status = status
        self.code = code
        self.retry_after = retry_after


class Unreachable(SideError):
    """No connection, a TLS failure, or a read that got no answer. Nothing was changed there."""

    stops_side = True


class OutcomeUnknown(SideError):
    """A write went out and no trustworthy answer came back: it may or may not have been applied."""

    verdict = Verdict.IN_DOUBT


class InvalidResponse(SideError):
    """An answer to a read that is not what the documents promise: HTML, null, half a page, wrong types."""


class Throttled(SideError):
    """The side asks for a pause; `retry_after` says how long, in seconds."""

    stops_side = True


class TooLate(SideError):
    """A write had to wait, and what it rests on is no longer fresh. Nothing was sent."""


class ServerError(SideError):
    """A 5xx answer to a read."""


class SignInRefused(SideError):
    """Credentials, clock or region are wrong."""

    verdict = Verdict.STOP
    stops_side = True


class Forbidden(SideError):
    """Signed in, but not allowed to make this call."""

    verdict = Verdict.STOP
    stops_side = True


class Ambiguous(SideError):
    """More people share the address than the side will list (or it may not list them)."""

    verdict = Verdict.HOLD


class NotFound(SideError):
    """The addressed person or thing does not exist."""

    verdict = Verdict.HOLD


class Refused(SideError):
    """A permanent refusal of this payload or for this person."""

    verdict = Verdict.HOLD


class AlreadyDone(SideError):
    """Refused because what was asked for is so already."""

    verdict = Verdict.DONE


class PreconditionFailed(SideError):
    """A write that was to hold only for what had been read was refused: the person must be read again."""

    verdict = Verdict.IN_DOUBT


class MappingStale(SideError):
    """Something the mapping names does not exist at that side."""

    verdict = Verdict.FIX_CONFIG
