"""What the documents leave open, as positions of the sandboxes' switches: each beside the default."""

from __future__ import annotations

from typing import Any

MYPREFERENCES: tuple[tuple[str, Any], ...] = (
    ("token_reuse", True), ("honour_older_dates", True), ("repeat_raises_event", True),
    ("profile_updated_covers_choices", True), ("events_wrapped", True), ("events_shuffled", False),
    ("event_ids_shared", False), ("paused_keeps_events", False), ("export_polls", 4),
    ("export_shows_archived", True), ("write_lag_seconds", 90.0), ("event_lag_seconds", 60.0),
    ("created_status", 200), ("alternate_id_answers_list", True), ("no_match_is_404", True),
    ("refuse_duplicate_alternate_ids", False), ("token_seconds", 3600),
    ("propagation_raises_events", False), ("readded_element_keeps_choices", False),
    ("put_keeps_preserve_flags", False), ("inactive_shows_preferences", False),
    ("all_locales_answered", True), ("event_times_eastern", True), ("empty_is_active_deletes", False),
    ("update_takes_paused", False), ("patch_failed_test_status", 409), ("patch_body", "object"),
    ("import_polls", 3), ("import_bad_records", "refuse_all"), ("export_keep_seconds", 60.0),
)  # fmt: skip
DOTDIGITAL: tuple[tuple[str, Any], ...] = (
    ("error_text", "error_prefix"), ("error_text", "trailing_space"), ("error_text", "no_code"),
    ("unsubscribe_unknown", "created"), ("unsubscribe_other_reason", "changed"),
    ("suppress_unsubscribed", "changed"), ("date_removed_on_repeat", "moves"),
    ("date_removed_on_reason_change", "kept"), ("suppression_follows", "address"),
    ("resubscribe_answer", "not_available"), ("resubscribe_answer", "message_only"),
    ("challenged_status", "PendingOptIn"), ("pending_preferences", "applied"),
    ("v3_subscribe_pending", "ignored"), ("sms_suppressions", "as_suppressed"),
    ("sms_suppressions", "as_unsubscribed"), ("suppressed_returns_by_form", True),
    ("put_preferences", "replace"),
    ("put_preferences_suppressed", "accepted"), ("top_level_leaf", "refused"),
    ("equal_write_moves_date", True), ("never_asked_leaf", "missing"),
    ("subscriptions_of_suppressed", "not_found"), ("modified_flag", "isPreference"),
    ("modified_flag", "both"), ("modified_children", "changed"), ("feed_order", "sorted"),
    ("since_date", "exclusive"), ("row_resolution", "second"), ("feed_lag_seconds", 60.0),
    ("pending_in_suppressed_feed", True), ("min_contact_id", "exclusive"), ("foreign_preference_rows", False),
    ("opt_out_rows", False), ("rows_per_address_book", True), ("preference_feeds_list_suppressed", False),
    ("modified_moves_on_preferences", True), ("modified_moves_on_suppression", True),
    ("lists_suppressed", False), ("list_order", "shuffled"), ("v3_resubscribe_default", "challenge"),
    ("v3_details_key", "error"), ("v3_schema", "closed"), ("v3_casing", "as_written"),
    ("v3_casing", "capital"), ("v3_patch_status", "always_201"), ("unknown_in_answers", True),
    ("binned_write", "refused"), ("caps_suppressed_patch", "refused"), ("failure_spelling", "pascal"),
    ("enforce_double_opt_in", True), ("rate_limits", "tiered"), ("rate_limits", "flat"),
    ("untrimmed_credentials_on_v2", "refused"), ("import_bad_entries", "refuse_all"),
)  # fmt: skip
ONLY_A_SWEEP_TELLS = {("opt_out_rows", False), ("preference_feeds_list_suppressed", False)}
