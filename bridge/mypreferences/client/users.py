"""API users of the account: there is a call that creates one, and none that lists them."""

from __future__ import annotations

from bridge.mypreferences import wire
from bridge.mypreferences.client.base import Caller


class Users(Caller):
    """One method an endpoint. Every method raises SideError."""

    def create_user(self, wanted: wire.User) -> wire.UserCreated:
        """Create a user, or make an inactive one of that name active again: the answer is the same
        (MyPreferences `Create user`). Raises Refused where the service takes neither."""
        operation = "create_user"
        answer = self._write(operation, wire.encode(wanted))
        made: wire.UserCreated = wire.decode(
            wire.UserCreated, answer.content, operation=operation, is_write=True
        )
        return made
