"""What MyPreferences sends and is sent, as far as the bridge speaks of it. Unknown fields are ignored."""

from __future__ import annotations

from bridge.mypreferences.wire.bulk import ExportPage, ExportRequest, ExportStatus, ExportToken
from bridge.mypreferences.wire.codec import Number, T, bad_answer, decode, encode
from bridge.mypreferences.wire.configured import (
    ConsentType,
    ConsentVersion,
    Filter,
    Frequency,
    LocalizedField,
    Program,
    TextTag,
)
from bridge.mypreferences.wire.happenings import (
    CONCURRENT,
    PAUSE,
    Event,
    EventInterest,
    SettingsAnswer,
    Subscription,
    WebhookSettings,
)
from bridge.mypreferences.wire.people import (
    CONSENT_CODES,
    DENIED,
    GRANTED,
    NOT_SET,
    OPT_IN,
    OPT_OUT,
    PREFERENCE_CODES,
    REVOKED,
    AlternateId,
    Consent,
    Email,
    Preference,
    Profile,
)

__all__ = [
    "CONCURRENT",
    "CONSENT_CODES",
    "DENIED",
    "GRANTED",
    "NOT_SET",
    "OPT_IN",
    "OPT_OUT",
    "PAUSE",
    "PREFERENCE_CODES",
    "REVOKED",
    "AlternateId",
    "Consent",
    "ConsentType",
    "ConsentVersion",
    "Email",
    "Event",
    "EventInterest",
    "ExportPage",
    "ExportRequest",
    "ExportStatus",
    "ExportToken",
    "Filter",
    "Frequency",
    "LocalizedField",
    "Number",
    "Preference",
    "Profile",
    "Program",
    "SettingsAnswer",
    "Subscription",
    "T",
    "TextTag",
    "WebhookSettings",
    "bad_answer",
    "decode",
    "encode",
]
