"""Whether the v3 API may be used: by the operator's word, and where that leaves it open, by one question."""

from __future__ import annotations

import logging
from threading import Lock

from bridge.core.errors import SideError
from bridge.dotdigital.client.v3 import ClientV3

_MEANS_MISSING = (403, 404)  # the feature or the permission, or the service itself, is not there
WITHOUT = (
    "Dotdigital's v3 API is not there for this API user: v2 does all of it, at more calls. Have it "
    "permitted, or set BRIDGE_DOTDIGITAL__V3=never."
)


class V3Access:
    """`client` None: never. `required`: whatever v3 refuses is an error. Otherwise the first use asks once,
    and a refusal for want of the feature settles it for this process."""

    def __init__(self, client: ClientV3 | None, *, required: bool = True) -> None:
        self._client = client
        self._known = required or client is None
        self._lock = Lock()
        self.warning: str | None = None

    def presumed(self) -> bool:
        """Whether v3 can be used as far as is known: costs no call."""
        return self._client is not None

    def client(self) -> ClientV3 | None:
        """The client, where it may be used. Raises SideError where that could not be found out."""
        if not self._known:
            with self._lock:
                self._ask()
        return self._client

    def _ask(self) -> None:
        if self._known or self._client is None:
            return
        try:
            self._client.get_contacts(limit=1, include=())
        except SideError as error:
            if error.status not in _MEANS_MISSING:
                raise
            self._client, self.warning = None, WITHOUT
            logging.getLogger("bridge.dotdigital").warning(WITHOUT)
        self._known = True
