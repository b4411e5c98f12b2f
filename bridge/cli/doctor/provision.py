"""`bridge doctor --provision`: find or create the bridge's own user at MyPreferences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.cli.options import READ_TIMEOUT, confirmed, settings_from
from bridge.cli.output import ExitCode, StatusMark, note, print_json
from bridge.core.errors import ConfigError, Forbidden, OutcomeUnknown, SignInRefused

if TYPE_CHECKING:
    from bridge.mypreferences.wire.configuration import User, UserCreated
    from bridge.settings import Settings


@dataclass(frozen=True, slots=True)
class NewUser:
    """The user to create: by whom, in which User Groups, with which address."""

    signed_in_as: str | None = None
    groups: tuple[str, ...] = ()
    email: str | None = None

    def __bool__(self) -> bool:
        return bool(self.signed_in_as or self.groups or self.email)


def create_user(config: Path | None, new_user: NewUser, *, yes: bool, json: bool) -> int:
    """Find or create the user. Creates nothing if signing in as it works. Raises ConfigError without a
    terminal to confirm on, SideError from the calls."""
    settings = settings_from(config)
    settings.require_mypreferences()
    if _signs_in(settings):
        return _report(settings, None, json=json)
    if new_user.signed_in_as is None:
        raise ConfigError(
            "Signing in as the user of BRIDGE_MYPREFERENCES__USER_ID failed: it does not exist yet, or the "
            "credentials are wrong.",
            hint="To create it, name a user that may create users: --as USER_ID.",
        )
    wanted = _user_wanted(settings, new_user)
    _print_user(wanted)
    if not confirmed("Create this user?", yes=yes):
        return 0
    return _report(settings, _create(settings, new_user.signed_in_as, wanted), json=json)


def _user_wanted(settings: Settings, new_user: NewUser) -> User:
    from bridge.mypreferences.wire.configuration import User

    return User(
        user_name=settings.mypreferences.user_id or "",
        first_name="Consent",
        last_name="Bridge",
        email=new_user.email,
        description="The consent bridge's own API user: it reads and writes preferences and consents.",
        user_groups=list(new_user.groups) or None,
        source_group_id=settings.mypreferences.source_group,
    )


def _print_user(wanted: User) -> None:
    note(StatusMark.NEXT, f"To create at MyPreferences: user {wanted.user_name},", stderr=True)
    group = wanted.source_group_id or "none (see BRIDGE_MYPREFERENCES__SOURCE_GROUP)"
    groups = (
        ", ".join(wanted.user_groups or ()) or "none (see --user-group); it has no permissions without one"
    )
    note(StatusMark.NEXT, f"source group: {group}", indent=2, stderr=True)
    note(StatusMark.NEXT, f"User Groups: {groups}", indent=2, stderr=True)


def _create(settings: Settings, administrator: str, wanted: User) -> UserCreated:
    """Create the user, once: this call must not be repeated blindly."""
    from bridge.app import App, Options

    administrator_settings = settings.mypreferences.model_copy(update={"user_id": administrator})
    acting = settings.model_copy(update={"mypreferences": administrator_settings})
    try:
        with App(acting, Options(read_timeout=READ_TIMEOUT, tries=1)) as app:
            return app.mypreferences.client.create_user(wanted)
    except OutcomeUnknown as error:
        raise OutcomeUnknown(
            f"{error.what} It is unknown whether the user was created.",
            side=error.side,
            operation=error.operation,
            status=error.status,
            hint="Look for the user in MyPreferences, or run the command again: it creates nothing "
            "if signing in as that user works.",
        ) from None
    except SignInRefused as error:
        raise SignInRefused(
            f"{error.what} Nothing was created.",
            side=error.side,
            operation=error.operation,
            status=error.status,
            hint=f"Check that --as names an active user of the account. {error.hint}",
        ) from None


def _signs_in(settings: Settings) -> bool:
    """Whether signing in as that user works. No API call lists users."""
    from bridge.app import App, Options

    with App(settings, Options(read_timeout=READ_TIMEOUT, tries=2)) as app:
        try:
            app.mypreferences.client.retrieve_programs()
        except SignInRefused:
            return False
        except Forbidden as error:
            if error.status != 403:  # the route or the account is wrong, which says nothing about the user
                raise
    return True


def _report(settings: Settings, made: UserCreated | None, *, json: bool) -> int:
    """Print the result. A created user must also sign in: its name is the scope of the sign-in."""
    ready = made is None or _signs_in(settings)
    if json:
        print_json({"provisioned": _document(settings, made, ready=ready)})
    elif made is None:
        note(
            StatusMark.GOOD,
            "The user of BRIDGE_MYPREFERENCES__USER_ID exists and signs in; nothing was created.",
        )
    else:
        note(StatusMark.GOOD, f"The user was created with id {made.user_id}.")
    if not json and ready:
        note(StatusMark.NEXT, "Check its permissions: `bridge doctor`.")
    elif not json:
        note(StatusMark.WARN, "Signing in as this user still fails.")
        note(
            StatusMark.NEXT,
            "Ask PossibleNOW whether the OAuth client may sign in as this user; then run `bridge doctor`.",
        )
    return ExitCode.DONE if ready else ExitCode.UNREACHABLE


def _document(settings: Settings, made: UserCreated | None, *, ready: bool) -> dict[str, Any]:
    return {
        "user_name": settings.mypreferences.user_id,
        "source_group": settings.mypreferences.source_group,
        "created": made is not None,
        "user_id": None if made is None else str(made.user_id),
        "submitted_at": None if made is None else made.submitted_time,
        "signs_in": ready,
    }
