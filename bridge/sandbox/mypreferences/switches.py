"""What the documentation leaves open, as switches: one per open question."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.sandbox.switches import ServiceSwitches, one_of


@dataclass
class MyPreferencesSwitches(ServiceSwitches):
    """Behaviour that is not documented, or may be set per account. Durations are in seconds."""

    token_seconds: int = 300
    """Life of an access token: the text says 60 minutes, settable per client; the sample has 300 s."""
    token_reuse: bool = False
    """Whether a live token is answered again; `expires_in` is then what remains of it."""
    pnauthinfo_seconds: int = 900
    """How old the time of a signed request may be (PNAUTHINFO_EXPIRATION_IN_SECONDS of the account)."""
    honour_older_dates: bool = False
    """Whether a CustomerDate or ConsentDate older than the stored one is applied; 200 either way."""
    repeat_raises_event: bool = False
    """Whether repeating an identical preference raises `preference.updated`."""
    profile_updated_covers_choices: bool = False
    """Whether `profile.updated` also fires when only preferences or consents changed."""
    all_locales_answered: bool = False
    """Whether programs read without a locale are answered in all locales, or in the account's only."""
    events_wrapped: bool = False
    """Answer events as {"Events": [...]} instead of a bare array."""
    events_shuffled: bool = True
    """Answer events in no useful order."""
    event_lag_seconds: float = 0.0
    """How long after its recording an event becomes visible."""
    event_ids_shared: bool = True
    """Whether one change that matches several subscriptions has one EventId."""
    event_times_eastern: bool = False
    """Read `startAt`/`endAt` without a zone as US Eastern instead of UTC."""
    empty_is_active_deletes: bool = True
    """Whether replacing a subscription without `IsActive`, which then counts as empty, deletes it."""
    update_takes_paused: bool = True
    """Whether replacing a subscription knows the state `Paused`, or only `Inactive` as its page lists."""
    paused_keeps_events: bool = True
    """Whether events are kept for a subscription that is not Active."""
    handshake: str = one_of("post", "get", "status", "static", "none")
    """The validation request before the first delivery: `post` or `get` a code to be echoed, `status` for any
    success, `static` for an agreed answer, `none`."""
    handshake_on_create: bool = False
    """Whether the validation request is sent, and must succeed, when a subscription is created; else before
    its first delivery."""
    handshake_expects: str = ""
    """The agreed answer, as it must be sent."""
    deliveries_shuffled: bool = True
    """Deliver each cycle's messages in no useful order."""
    delivery_batch: int = 1
    """Messages in one request: 1 sends an object, more send an array."""
    delivery_tries: int = 1
    """How often a message is sent that is not answered with success."""
    delivery_duplicates: float = 0.0
    """The share of messages that are sent twice."""
    delivery_drops: float = 0.0
    """The share of messages that are never sent."""
    delivery_timeout_seconds: float = 10.0
    """How long a receiver may take, in real seconds."""
    delivery_key: str = ""
    """Sign each delivery with this key (HMAC-SHA256 of the body, in hex); empty: unsigned."""
    export_polls: int = 1
    """How many status polls answer Processing before Complete."""
    export_ends: str = one_of("Complete", "Error", "Failed")
    """How exports end: Complete, Error (something is wrong with the segment) or Failed (no permission)."""
    export_keep_seconds: float = 21_600.0
    """How long generated data waits to be fetched before it is Expired."""
    export_shows_archived: bool = False
    """Whether exported rows include archived preferences (a setting of the segment)."""
    imports_per_day: int = 24
    """How many imports may be begun within 24 hours: there is a cap, its number is not given."""
    import_quota_status: int = 400
    """How an import beyond the cap is refused: the status is not documented."""
    import_token_hours: float = 12.0
    """Life of an import's token: the text says six hours, the attribute twelve."""
    import_body_max: int = 25 * 1024 * 1024
    """The largest body of records, in bytes."""
    import_bad_records: str = one_of("in_exceptions", "refuse_all")
    """A staged record that is not valid: kept out by itself, or the whole call is refused."""
    import_seconds: float = 0.0
    """How long an executed import waits before it is carried out."""
    import_polls: int = 1
    """How many status polls answer Processing before the end is answered."""
    import_ends: str = one_of("Completed", "Failed")
    """How imports end: Completed, or Failed, which imports nothing."""
    write_lag_seconds: float = 0.0
    """How long after a write the profile reads as before, with status Pending Update."""
    active_user_is_409: bool = True
    """Whether creating a user that is active already is a 409, or is answered as if it had been made."""
    user_needs_email: bool = False
    """Whether a user cannot be created without an e-mail address."""
    created_status: int = 201
    """Status for a created profile or subscription: 200 or 201."""
    alternate_id_answers_list: bool = False
    """Answer a lookup by alternate id as a list of one."""
    no_match_is_404: bool = False
    """Answer a search by e-mail that finds nobody with 404 instead of an empty list."""
    refuse_duplicate_alternate_ids: bool = True
    """Whether creating a profile with a taken alternate id is a 409."""
    propagation_raises_events: bool = True
    """Whether a choice inherited from a parent filter raises events of its own, by a system user."""
    readded_element_keeps_choices: bool = True
    """Whether a contact point that is added again has the preferences that were preserved of it."""
    inactive_shows_preferences: bool = True
    """Whether a read by id shows the preferences that are preserved of a deactivated profile."""
    patch_failed_test_status: int = 400
    """Status of a patch whose `test` fails."""
    patch_body: str = one_of("array", "object", "either")
    """What a patch may be sent as: a bare "array", an "object" with Operations, or "either"."""
    put_keeps_preserve_flags: bool = True
    """Whether PUT without PreservePreferences or PreserveConsents leaves them true instead of blank."""
