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

V2: Mapping[str, CodeMeaning] = {
    "ERROR_ACCOUNT_INVALID": _OF_ACCOUNT,
    "ERROR_ADDRESSBOOK_DUPLICATE": _OF_LISTS,
    "ERROR_ADDRESSBOOK_INVALID": _OF_LISTS,
    "ERROR_ADDRESSBOOK_IN_USE": _OF_LISTS,
    "ERROR_ADDRESSBOOK_LIMITEXCEEDED": _OF_LISTS,
    "ERROR_ADDRESSBOOK_NOTWRITABLE": _OF_LISTS,
    "ERROR_ADDRESSBOOK_NOT_FOUND": _OF_LISTS,
    "ERROR_ADDRESSBOOK_TOOMANY": _OF_LISTS,
    FLAT_CODE: CodeMeaning(Throttled, _FLAT),
    "ERROR_APIUSER_INVALID": CodeMeaning(SignInRefused, SIGN_IN),
    "ERROR_BODY_DOES_NOT_MATCH_CONTENT_TYPE": _OUR_FAULT,
    "ERROR_CAMPAIGN_CONTAINS_UNSUPPORTED_BLOCKS": _NOT_OURS,
    "ERROR_CAMPAIGN_INVALID": _NOT_OURS,
    "ERROR_CAMPAIGN_NOT_FOUND": _NOT_OURS,
    "ERROR_CAMPAIGN_READONLY": _NOT_OURS,
    "ERROR_CAMPAIGN_SENDNOTPERMITTED": _NOT_OURS,
    "ERROR_CAMPAIGN_SEND_INVALID": _NOT_OURS,
    "ERROR_CANNOT_PERFORM_OPERATION_ON_ACCOUNT": CodeMeaning(Forbidden, _ACCOUNT),
    "ERROR_CONTACTS_ARE_NOT_SPECIFIED": _OUR_FAULT,
    "ERROR_CONTACT_INVALID": _OF_PERSON,
    "ERROR_CONTACT_NOT_FOUND": CodeMeaning(NotFound, _ABSENT),
    "ERROR_CONTACT_RESUBSCRIPTION_INVALID": _OF_PERSON,
    "ERROR_CONTACT_SUPPRESSED": CodeMeaning(Refused, SUPPRESSED_THERE, AlreadyDone),
    "ERROR_CONTACT_SUPPRESSEDFORADDRESSBOOK": _OF_LISTS,
    "ERROR_CONTACT_TOOMANY": CodeMeaning(Refused, _PLAN),
    "ERROR_CONTENT_TYPE_IS_NOT_SUPPORTED": _OUR_FAULT,
    "ERROR_DATAFIELD_INVALID": _OF_FIELDS,
    "ERROR_DATAFIELD_LIMITEXCEEDED": _OF_FIELDS,
    "ERROR_DATAFIELD_NOTFOUND": _OF_FIELDS,
    "ERROR_DATAFIELD_VALUE_OVERFLOW": _OF_FIELDS,
    "ERROR_DOCUMENT_ALREADYATTACHED": _NOT_OURS,
    "ERROR_DOCUMENT_ATTACHMENTSTOOLARGE": _NOT_OURS,
    "ERROR_DOCUMENT_DATAEMPTY": _NOT_OURS,
    "ERROR_DOCUMENT_FOLDER_INVALID": _NOT_OURS,
    "ERROR_DOCUMENT_FOLDER_NOT_FOUND": _NOT_OURS,
    "ERROR_DOCUMENT_INVALID": _NOT_OURS,
    "ERROR_DOCUMENT_NAMEINVALID": _NOT_OURS,
    "ERROR_DOCUMENT_NOT_FOUND": _NOT_OURS,
    "ERROR_DOCUMENT_TOOLARGE": _NOT_OURS,
    "ERROR_DOCUMENT_TOOMANYATTACHMENTS": _NOT_OURS,
    "ERROR_DOCUMENT_UNSUPPORTEDFORMAT": _NOT_OURS,
    "ERROR_EMAIL_BANNED": CodeMeaning(Refused, _BARRED),
    "ERROR_ENROLMENT_ALLOWANCE_EXCEEDED": _LATER,
    "ERROR_ENROLMENT_INVALID": _NOT_OURS,
    "ERROR_ENROLMENT_IS_PROCESSING": _LATER,
    "ERROR_ENROLMENT_NOT_FOUND": _NOT_OURS,
    "ERROR_FEATURENOTACTIVE": CodeMeaning(Forbidden, _FEATURE),
    "ERROR_IMAGE_DATAEMPTY": _NOT_OURS,
    "ERROR_IMAGE_FOLDER_DELETED": _NOT_OURS,
    "ERROR_IMAGE_FOLDER_INVALID": _NOT_OURS,
    "ERROR_IMAGE_FOLDER_NOT_FOUND": _NOT_OURS,
    "ERROR_IMAGE_INVALID": _NOT_OURS,
    "ERROR_IMAGE_NAMEINVALID": _NOT_OURS,
    "ERROR_IMAGE_PARENTFOLDERISFULL": _NOT_OURS,
    "ERROR_IMAGE_UNSUPPORTEDFORMAT": _NOT_OURS,
    "ERROR_IMPORT_NOT_FOUND": CodeMeaning(NotFound, REPORT),
    "ERROR_IMPORT_REPORT_NOT_FOUND": CodeMeaning(NotFound, REPORT),
    "ERROR_IMPORT_TOOMANYACTIVEIMPORTS": _LATER,
    "ERROR_IMPORT_UNSUPPORTED_FORMAT": _OUR_FAULT,
    "ERROR_INVALID_APIUSEREXISTS": _NOT_OURS,
    "ERROR_INVALID_EMAIL": CodeMeaning(Refused, ADDRESS),
    "ERROR_INVALID_LOGIN": CodeMeaning(SignInRefused, SIGN_IN),
    "ERROR_INVALID_PERSONALISATION_VALUES": _NOT_OURS,
    "ERROR_MALFORMED_REQUEST": _OUR_FAULT,
    "ERROR_MANAGED_USER_INVALID": _NOT_OURS,
    "ERROR_MISSING_SETUPKEYVALUES": _NOT_OURS,
    "ERROR_MULTI_FILE_UPLOAD_NOT_ALLOWED": _OUR_FAULT,
    "ERROR_NON_UNIQUE_DATAFIELD": _OF_FIELDS,
    "ERROR_NON_UNIQUE_EMAIL": _OF_PERSON,
    "ERROR_NO_EMAIL_COLUMN": _OUR_FAULT,
    "ERROR_OAUTH_TOKEN_INVALID": CodeMeaning(SignInRefused, SIGN_IN),
    "ERROR_PARAMETER_INVALID": _OF_PERSON,
    "ERROR_PREFERENCE_INVALID": CodeMeaning(MappingStale, MAPPING),
    "ERROR_PREFERENCE_NOT_FOUND": CodeMeaning(MappingStale, MAPPING),
    "ERROR_PROGRAM_NOT_ACTIVE": _NOT_OURS,
    "ERROR_PROGRAM_NOT_FOUND": _NOT_OURS,
    "ERROR_SEGMENT_NOT_FOUND": _NOT_OURS,
    "ERROR_SEND_LIMITEXCEEDED": _NOT_OURS,
    "ERROR_SMS_INVALID": _NOT_OURS,
    "ERROR_SMS_INVALIDPHONENUMBER": _NOT_OURS,
    "ERROR_SMS_SENDNOTPERMITTED": _NOT_OURS,
    "ERROR_SURVEY_NOT_FOUND": _NOT_OURS,
    "ERROR_SYSTEM_SERVICETEMPORARILYUNAVAILABLE": CodeMeaning(ServerError, WAIT),
    "ERROR_TEMPLATE_INVALID": _NOT_OURS,
    "ERROR_TEMPLATE_NOT_FOUND": _NOT_OURS,
    "ERROR_THEME_INVALID": _NOT_OURS,
    "ERROR_TRANSACTIONAL_DATA_COLLECTION_DOES_NOT_EXIST": _NOT_OURS,
    "ERROR_TRANSACTIONAL_DATA_DOES_NOT_EXIST": _NOT_OURS,
    "ERROR_TRANSACTIONAL_DATA_INVALID_COLLECTION_NAME": _NOT_OURS,
    "ERROR_TRANSACTIONAL_DATA_STORAGE_ALLOWANCE_EXCEEDED": _NOT_OURS,
    "ERROR_TRANSACTIONAL_DATA_VALIDATION_FAILED": _NOT_OURS,
    "ERROR_UNKNOWN": CodeMeaning(ServerError, WAIT),
    "ERROR_UNKNOWN_ACCOUNT": _OF_ACCOUNT,
    "ERROR_USERACCOUNT_UNKNOWN": _OF_ACCOUNT,
    "ERROR_WEAK_PASSWORD": _NOT_OURS,
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
