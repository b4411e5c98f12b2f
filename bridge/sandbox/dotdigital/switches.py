"""What the emulated Dotdigital does where its documentation is silent or contradicts itself."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.sandbox.switches import ServiceSwitches, one_of


@dataclass
class DotdigitalSwitches(ServiceSwitches):
    """One field per open question. The default is the reading that the vendor's documents favour."""

    # Account, sign-in, limits
    region: str = one_of("right", "wrong")
    """`wrong`: every call but account-info answers 403, as calling another region's host does."""
    api_endpoint: str = ""
    """ApiEndpoint named by account-info; empty names this server. The real value ends in a slash."""
    untrimmed_credentials_on_v2: str = one_of("accepted", "refused")
    """White space round user or password was seen to pass on v2 and to fail on v3 (always refused there)."""
    integration_token: str = ""
    """The `x-ddg-integration-token` that every call must carry; empty: none is asked for. The header is
    optional by its description; what a missing one is answered is not documented."""
    rate_limits: str = one_of("none", "tiered", "flat")
    """`tiered`: per minute, with headers, 429. `flat`: per rolling hour, 400 ERROR_APIUSAGE_EXCEEDED."""
    limit_low: int = 35
    limit_medium: int = 150
    limit_high: int = 600
    """Calls a minute per tier. Only Low on the smallest package (35) is documented."""
    limit_flat: int = 2000
    """Calls a rolling hour on the flat scheme."""
    reset_form: str = one_of("epoch_seconds", "epoch_milliseconds", "seconds_from_now")
    """X-RateLimit-Reset: documented as UTC epoch; the vendor's PHP client reads seconds from now."""
    enforce_double_opt_in: bool = False
    """Account setting: new contacts wait as PendingOptIn until they confirm."""

    unknown_in_answers: bool = False
    """Objects in answers hold a property that no document names."""

    # v2 errors
    error_text: str = one_of("plain", "error_prefix", "trailing_space", "no_code")
    """Message forms seen: `Text. CODE`, `Error: CODE`, `Text. CODE ` and text without any code."""

    # v2 suppression
    unsubscribe_unknown: str = one_of("not_found", "created")
    """Unsubscribe of an address the account does not have."""
    unsubscribe_other_reason: str = one_of("refused", "changed")
    """Unsubscribe of a contact suppressed for another reason: ERROR_CONTACT_SUPPRESSED, or a new reason."""
    suppress_unsubscribed: str = one_of("kept", "changed")
    """Bulk suppress of a contact that is already unmailable: keep its reason, or make it Suppressed."""
    suppress_echo_of_unknown: str = one_of("without_email", "null_email")
    """A notFound row of an id: its schema types `email` as text; rows of known ids have null there."""
    suppressed_returns_by_form: bool = False
    """Whether a contact suppressed by the account's owner is mailable again once the person fills in a
    sign-up form: one help page says never, another at once."""
    date_removed_on_repeat: str = one_of("kept", "moves")
    """dateRemoved when the same reason is stated again."""
    date_removed_on_reason_change: str = one_of("moves", "kept")
    """dateRemoved when another reason replaces the first."""
    suppression_follows: str = one_of("contact", "address")
    """After a change of e-mail: the block follows the contact, or stays with the old address."""

    # v2 resubscribe
    resubscribe_answer: str = one_of("status", "not_available", "message_only")
    """`not_available`: NotAvailableInThisVersion as status. `message_only`: `{"message"}` alone."""
    challenged_status: str = one_of("unchanged", "PendingOptIn")
    """Status of a contact that got a challenge and has not clicked."""

    # v2 preferences
    put_preferences: str = one_of("merge", "replace")
    """PUT of a contact's preferences: leave unnamed ones alone, or opt out of them."""
    pending_preferences: str = one_of("ignored", "applied")
    """Preferences that the API writes to a PendingOptIn contact: without effect, though the answer is good,
    as the vendor's own module notes; or applied. Its data fields are written either way."""
    put_preferences_suppressed: str = one_of("refused", "accepted")
    """PUT of a suppressed contact's preferences: ERROR_CONTACT_SUPPRESSED, or applied."""
    top_level_leaf: str = one_of("accepted", "refused")
    """A leaf of a category sent outside its category."""
    equal_write_moves_date: bool = False
    """Writing the value a preference already has moves its dateModifed."""
    never_asked_leaf: str = one_of("false", "missing")
    """isOptedIn of a leaf the contact was never asked about, in the contact's tree."""
    subscriptions_of_suppressed: str = one_of("listed", "not_found")
    """GET subscriptions of a suppressed contact."""
    modified_flag: str = one_of("isPreference2", "isPreference", "both")
    """How modified-since spells the flag of its top-level nodes."""
    modified_children: str = one_of("all", "changed")
    """Children shown under a category by modified-since."""
    definition_answers: str = one_of("seed", "full", "short")
    """Answers of create and update: `short` lacks preferenceCount and created; `seed`: only update does."""

    # v2 feeds
    feed_order: str = one_of("shuffled", "sorted")
    """suppressed-since and unsubscribed-since: stable but meaningless order, or by dateRemoved."""
    since_date: str = one_of("inclusive", "exclusive")
    """Whether a row dated exactly at the asked instant is returned by the two suppression feeds."""
    row_resolution: str = one_of("millisecond", "second")
    """What the feeds compare with the asked instant: the row's time, or its whole second."""
    feed_lag_seconds: float = 0.0
    """A change shows in the feeds only this long after it was made."""
    pending_in_suppressed_feed: bool = False
    """PendingOptIn contacts are rows of suppressed-since."""
    sms_suppressions: str = one_of("not_listed", "as_suppressed", "as_unsubscribed")
    """A contact suppressed by SMS only: no row of the suppression feeds, or one with that reason. The status
    in the row is that of its e-mail channel."""
    min_contact_id: str = one_of("inclusive", "exclusive")
    foreign_preference_rows: bool = True
    """opt-ins-since shows each contact's rows of other preferences too."""
    opt_out_rows: bool = True
    """opt-ins-since shows contacts whose change was an opt-out (one of its two descriptions says not)."""
    rows_per_address_book: bool = False
    """A second, older row of the same preference for another address book; contacts listed twice."""
    preference_feeds_list_suppressed: bool = True
    """with-preference and opt-ins-since list contacts that cannot be mailed."""

    # v3
    v3: str = one_of("there", "forbidden", "absent")
    """`forbidden`: 403 to every v3 contacts call, as without the permission. `absent`: 404."""
    modified_moves_on_preferences: bool = False
    """A preference change moves `updated`, so `~modified` finds it."""
    modified_moves_on_suppression: bool = False
    """An unsubscribe or suppression moves `updated`."""
    lists_suppressed: bool = True
    """The v3 list includes contacts that cannot be mailed."""
    list_order: str = one_of("contact_id", "shuffled")
    v3_resubscribe_default: str = one_of("silent", "challenge")
    """resubscribeWithNoChallenge when absent: true by the specification, false by the vendor's engineers."""
    v3_subscribe_pending: str = one_of("refused", "ignored")
    """`status: subscribed` for a PendingOptIn contact: 400 "Channel status does not allow resubscribing", or
    a good answer without effect."""
    v3_schema: str = one_of("published", "closed", "lenient")
    """Unknown properties of a request: refused where the specification closes an object, or in the whole
    contact, or ignored everywhere."""
    v3_patch_status: str = one_of("by_outcome", "always_200", "always_201")
    """A PATCH answers 200 for an update and 201 for a new contact, or the same for both."""
    v3_casing: str = one_of("published", "as_written", "capital")
    """Values of a contact that is read: `Html` and `unsubscribed`, all as they are written (`html`), or all
    with a capital letter (`Unsubscribed`)."""
    v3_details_key: str = one_of("description", "error")
    """Inner key of an error's details."""
    caps_suppressed_patch: str = one_of("accepted", "refused")
    """A defect seen: a suppressed contact stored in capitals, PATCHed in lower case, answers 400."""
    binned_write: str = one_of("revived", "refused")
    """A write to a contact in the recycle bin: brings it back, or 409 as for an id of another contact."""
    import_bytes: int = 50 * 2**20
    """The largest body of an import; 413 beyond it."""
    import_type_errors: str = one_of("in_report", "at_once")
    """Wrong types in an import: shown by its report only, as clients found, or the call is refused."""
    import_bad_entries: str = one_of("in_report", "refuse_all")
    """An entry that cannot be applied, as for a contact that is blocked everywhere: a failure in the report,
    or the whole call is refused, as it was seen to be."""
    import_summary: str = one_of("null", "missing")
    """`summary` while an import runs."""
    import_polls: int = 1
    """Status calls answered NotFinished before an import ends..."""
    import_seconds: float = 30.0
    """...or this much time after its submission, whichever comes first."""
    import_outcome: str = one_of("Finished", "RejectedByWatchdog", "Failed", "ExceedsAllowedContactLimit")
    """How imports end; only Finished ones are applied."""
    max_active_imports: int = 25
    delete_suppressed: str = one_of("kept_blocked", "refused")
    """Deleting a suppressed contact: binned, its address stays blocked; or refused, as a client met it."""
    delete_polls: int = 2
    """Status calls answered NotStarted (the first) or NotFinished before a bulk delete ends..."""
    delete_seconds: float = 30.0
    """...or this much time after its submission, whichever comes first."""
    delete_outcome: str = one_of("Finished", "Failed")
    """How bulk deletes end; only Finished ones are applied."""
    max_active_deletes: int = 25
    """Bulk deletes at once. The limit exists, its number is not published."""
    failure_spelling: str = one_of("camel", "pascal")
    """failureCode: `invalidEmail` by the specification's examples, `InvalidEmail` by the page."""

    # Events export
    events: str = one_of("there", "forbidden", "absent")
    """`forbidden`: 403 to every call, as on a package without it. `absent`: 404."""
    configuration: str = one_of("there", "forbidden", "absent")
    """The configuration service of v3: `forbidden`: 403 to every call. `absent`: 404."""
    event_data: str = one_of("contactId", "nested", "identifiers", "email", "nobody")
    """Where the data of contact events name the contact: no document says."""
    event_delivery: str = one_of("once", "doubled", "replayed", "lost")
    """At least once, or not at all: each event collected twice, or given out once more after it was
    acknowledged; or every second one never collected."""
    event_lag_seconds: float = 0.0
    """An event is given out only this long after it happened."""
    event_activation_seconds: float = 300.0
    """A subscription collects only this long after it was made active: up to five minutes."""
