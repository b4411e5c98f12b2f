"""Every code that Dotdigital refuses with: what it means for the bridge, and what fixes it.

Data only; `bridge.dotdigital.client.errors` reads the answers. A code's verdict is that of its error class:
retry (Throttled, ServerError), hold (Refused, NotFound), stop (SignInRefused, Forbidden), fix the mapping
(MappingStale), already done (AlreadyDone, and only for an opt-out). Many codes belong to campaigns, documents
or surveys, which the bridge never calls: they are listed all the same, so that a refusal always says what it
is about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.core.errors import (
    AlreadyDone,
    Forbidden,
    MappingStale,
    NotFound,
    Refused,
    ServerError,
    SideError,
    SignInRefused,
    Throttled,
)

FLAT_CODE = "ERROR_APIUSAGE_EXCEEDED"
FLAT_PAUSE = 300.0  # seconds; the cap lifts as the rolling hour moves on
TOO_MANY_IMPORTS, TOO_MANY_DELETIONS = "contacts:tooManyActiveImports", "contacts:tooManyBulkDeleteJobs"


@dataclass(frozen=True, slots=True)
class CodeMeaning:
    """What a refusal means here, and what fixes it. `for_opt_out` replaces `kind` where the refused write was
    an opt-out: the contact being suppressed already is then the wanted result."""

    kind: type[SideError]
    hint: str
    for_opt_out: type[SideError] | None = None


@dataclass(frozen=True, slots=True)
class ImportFailure(CodeMeaning):
    """One contact's failure in an import report. `partly`: the contact was written all the same."""

    partly: bool = False


ADDRESS = "Correct the person's address at MyPreferences."
MAPPING = "See `bridge mapping check`, then fix the mapping file or restore the preference."
PERSON = "Repeating it will not help: check this contact in Dotdigital."
REPORT = "This is a fault of the bridge: report the operation and the code."
SIGN_IN = (
    "Check BRIDGE_DOTDIGITAL__USERNAME and BRIDGE_DOTDIGITAL__PASSWORD, and that the API user is enabled."
)
SUPPRESSED_THERE = "The contact is suppressed there and has to be resubscribed first."
WAIT = "The bridge tries again later."

_ABSENT = "Dotdigital has no such contact."
_ACCOUNT = "Check that the account is active and that the API user belongs to it; `bridge doctor` names it."
_BARRED = "Dotdigital bars this address: it cannot be subscribed; correct it at MyPreferences."
_FEATURE = "Have the feature enabled for the account, or set BRIDGE_DOTDIGITAL__V3=never if it is the v3 API."
_FIELD = "The bridge defines no data fields: compare what it sends with the account's fields, and report it."
_FLAT = "The account's hourly calls are used up; other integrations share them."
_FOREIGN = "The bridge never calls this: check what is between it and Dotdigital, and report it."
_LIST = "The bridge writes no lists: check what else uses this API user."
_PLAN = "Raise the account's contact allowance or remove contacts there."

_NOT_OURS = CodeMeaning(Refused, _FOREIGN)
_OF_EVENTS = CodeMeaning(Refused, "Nothing is lost: polling still finds every change.")
_OF_LISTS = CodeMeaning(Refused, _LIST)
_OF_FIELDS = CodeMeaning(Refused, _FIELD)
_OF_PERSON = CodeMeaning(Refused, PERSON)
_OUR_FAULT = CodeMeaning(Refused, REPORT)
_OF_ACCOUNT = CodeMeaning(SignInRefused, _ACCOUNT)
_LATER = CodeMeaning(Throttled, WAIT)

_SHARED: Mapping[CodeMeaning, str] = {
    _NOT_OURS: """
        CAMPAIGN_CONTAINS_UNSUPPORTED_BLOCKS CAMPAIGN_INVALID CAMPAIGN_NOT_FOUND CAMPAIGN_READONLY
        CAMPAIGN_SENDNOTPERMITTED CAMPAIGN_SEND_INVALID DOCUMENT_ALREADYATTACHED
        DOCUMENT_ATTACHMENTSTOOLARGE DOCUMENT_DATAEMPTY DOCUMENT_FOLDER_INVALID
        DOCUMENT_FOLDER_NOT_FOUND DOCUMENT_INVALID DOCUMENT_NAMEINVALID DOCUMENT_NOT_FOUND
        DOCUMENT_TOOLARGE DOCUMENT_TOOMANYATTACHMENTS DOCUMENT_UNSUPPORTEDFORMAT ENROLMENT_INVALID
        ENROLMENT_NOT_FOUND IMAGE_DATAEMPTY IMAGE_FOLDER_DELETED IMAGE_FOLDER_INVALID
        IMAGE_FOLDER_NOT_FOUND IMAGE_INVALID IMAGE_NAMEINVALID IMAGE_PARENTFOLDERISFULL
        IMAGE_UNSUPPORTEDFORMAT INVALID_APIUSEREXISTS INVALID_PERSONALISATION_VALUES
        MANAGED_USER_INVALID MISSING_SETUPKEYVALUES PROGRAM_NOT_ACTIVE PROGRAM_NOT_FOUND
        SEGMENT_NOT_FOUND SEND_LIMITEXCEEDED SMS_INVALID SMS_INVALIDPHONENUMBER SMS_SENDNOTPERMITTED
        SURVEY_NOT_FOUND TEMPLATE_INVALID TEMPLATE_NOT_FOUND THEME_INVALID
        TRANSACTIONAL_DATA_COLLECTION_DOES_NOT_EXIST TRANSACTIONAL_DATA_DOES_NOT_EXIST
        TRANSACTIONAL_DATA_INVALID_COLLECTION_NAME TRANSACTIONAL_DATA_STORAGE_ALLOWANCE_EXCEEDED
        TRANSACTIONAL_DATA_VALIDATION_FAILED WEAK_PASSWORD
    """,
    _OF_LISTS: """
        ADDRESSBOOK_DUPLICATE ADDRESSBOOK_INVALID ADDRESSBOOK_IN_USE ADDRESSBOOK_LIMITEXCEEDED
        ADDRESSBOOK_NOTWRITABLE ADDRESSBOOK_NOT_FOUND ADDRESSBOOK_TOOMANY
        CONTACT_SUPPRESSEDFORADDRESSBOOK
    """,
    _OF_FIELDS: """
        DATAFIELD_INVALID DATAFIELD_LIMITEXCEEDED DATAFIELD_NOTFOUND DATAFIELD_VALUE_OVERFLOW
        NON_UNIQUE_DATAFIELD
    """,
    _OUR_FAULT: """
        BODY_DOES_NOT_MATCH_CONTENT_TYPE CONTACTS_ARE_NOT_SPECIFIED CONTENT_TYPE_IS_NOT_SUPPORTED
        IMPORT_UNSUPPORTED_FORMAT MALFORMED_REQUEST MULTI_FILE_UPLOAD_NOT_ALLOWED NO_EMAIL_COLUMN
    """,
}
"""v2 codes, without `ERROR_`, of which many mean the same here."""

V2: Mapping[str, CodeMeaning] = {
    **{f"ERROR_{name}": meaning for meaning, names in _SHARED.items() for name in names.split()},
    "ERROR_ACCOUNT_INVALID": _OF_ACCOUNT,
    FLAT_CODE: CodeMeaning(Throttled, _FLAT),
    "ERROR_APIUSER_INVALID": CodeMeaning(SignInRefused, SIGN_IN),
    "ERROR_CANNOT_PERFORM_OPERATION_ON_ACCOUNT": CodeMeaning(Forbidden, _ACCOUNT),
    "ERROR_CONTACT_INVALID": _OF_PERSON,
    "ERROR_CONTACT_NOT_FOUND": CodeMeaning(NotFound, _ABSENT),
    "ERROR_CONTACT_RESUBSCRIPTION_INVALID": _OF_PERSON,
    "ERROR_CONTACT_SUPPRESSED": CodeMeaning(Refused, SUPPRESSED_THERE, AlreadyDone),
    "ERROR_CONTACT_TOOMANY": CodeMeaning(Refused, _PLAN),
    "ERROR_EMAIL_BANNED": CodeMeaning(Refused, _BARRED),
    "ERROR_ENROLMENT_ALLOWANCE_EXCEEDED": _LATER,
    "ERROR_ENROLMENT_IS_PROCESSING": _LATER,
    "ERROR_FEATURENOTACTIVE": CodeMeaning(Forbidden, _FEATURE),
    "ERROR_IMPORT_NOT_FOUND": CodeMeaning(NotFound, REPORT),
    "ERROR_IMPORT_REPORT_NOT_FOUND": CodeMeaning(NotFound, REPORT),
    "ERROR_IMPORT_TOOMANYACTIVEIMPORTS": _LATER,
    "ERROR_INVALID_EMAIL": CodeMeaning(Refused, ADDRESS),
    "ERROR_INVALID_LOGIN": CodeMeaning(SignInRefused, SIGN_IN),
    "ERROR_NON_UNIQUE_EMAIL": _OF_PERSON,
    "ERROR_OAUTH_TOKEN_INVALID": CodeMeaning(SignInRefused, SIGN_IN),
    "ERROR_PARAMETER_INVALID": _OF_PERSON,
    "ERROR_PREFERENCE_INVALID": CodeMeaning(MappingStale, MAPPING),
    "ERROR_PREFERENCE_NOT_FOUND": CodeMeaning(MappingStale, MAPPING),
    "ERROR_SYSTEM_SERVICETEMPORARILYUNAVAILABLE": CodeMeaning(ServerError, WAIT),
    "ERROR_UNKNOWN": CodeMeaning(ServerError, WAIT),
    "ERROR_UNKNOWN_ACCOUNT": _OF_ACCOUNT,
    "ERROR_USERACCOUNT_UNKNOWN": _OF_ACCOUNT,
}
"""Dotdigital v2 error codes, as found inside the message."""

V3: Mapping[str, CodeMeaning] = {
    "contacts:badJson": _OUR_FAULT,
    "contacts:badRequest": _OUR_FAULT,
    "contacts:contactNotFound": CodeMeaning(NotFound, _ABSENT),
    "contacts:idAlreadyExists": _OF_PERSON,
    "contacts:importNotFound": CodeMeaning(NotFound, REPORT),
    "contacts:invalidContacts": _OF_PERSON,
    "contacts:invalidDeleteId": _OUR_FAULT,
    "contacts:invalidFilter": _OUR_FAULT,
    "contacts:invalidId": _OF_PERSON,
    "contacts:noContactsSpecified": _OUR_FAULT,
    TOO_MANY_IMPORTS: _LATER,
    TOO_MANY_DELETIONS: _LATER,
    "customIdentifiers:inUse": _NOT_OURS,
    "customIdentifiers:nameAlreadyExists": _NOT_OURS,
    "customIdentifiers:nameTooLong": _NOT_OURS,
    "customIdentifiers:notExist": _NOT_OURS,
    "events:badJson": _OF_EVENTS,
    "events:inactiveSubscription": _OF_EVENTS,
    "events:invalidCheckpoint": _OF_EVENTS,
    "events:invalidEventType": _OF_EVENTS,
    "events:nameAlreadyExists": _OF_EVENTS,
    "events:subscriptionNotFound": _OF_EVENTS,
}
"""Dotdigital v3 error codes, `service:code`. The bridge calls `contacts`, and `events`
for hints."""

CODES: Mapping[str, CodeMeaning] = {**V2, **V3}

IMPORT_FAILURES: Mapping[str, ImportFailure] = {
    "apischemaviolation": ImportFailure(Refused, REPORT),
    "blocker": ImportFailure(Refused, _BARRED),
    "consentrecordsnotapplied": ImportFailure(
        Refused, "The choice was written, its consent record was not: check the consent text, URL and time.",
        partly=True,
    ),
    "duplicate": ImportFailure(Refused, REPORT),  # twice in one import: the bridge sends each person once
    "duplicateidentifier": ImportFailure(Refused, PERSON),
    "globallysuppressed": ImportFailure(Refused, SUPPRESSED_THERE, AlreadyDone),
    "invalidaddressbookids": ImportFailure(Refused, _LIST),
    "invalidcontact": ImportFailure(Refused, PERSON),
    "invalidcontactid": ImportFailure(NotFound, _ABSENT),
    "invalidcontactstatus": ImportFailure(Refused, REPORT),
    "invaliddomain": ImportFailure(Refused, ADDRESS),
    "invalidemail": ImportFailure(Refused, ADDRESS),
    "invalidmatchidentifier": ImportFailure(Refused, REPORT),
    "invalidphonenumber": ImportFailure(Refused, "Correct the person's phone number at MyPreferences."),
    "novalididentifiers": ImportFailure(Refused, REPORT),
    "suppressedbydomain": ImportFailure(Refused, "The whole domain is suppressed in the Dotdigital account."),
}  # fmt: skip
"""Failure codes of Dotdigital's import reports, by `failure_key`. A suppressed domain is not "already
done": the block is the domain's, and may be lifted without the person having chosen anything."""


def failure_key(code: str) -> str:
    """The letters of a code in lower case: reports spell them `invalidEmail` and `InvalidEmail`."""
    return re.sub(r"[^a-z]", "", code.lower())


def import_failure(code: str) -> ImportFailure:
    """What one contact's failure means. An unknown code is held for an operator."""
    return IMPORT_FAILURES.get(failure_key(code), ImportFailure(Refused, PERSON))
