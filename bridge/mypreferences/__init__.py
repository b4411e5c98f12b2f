"""The MyPreferences side: its API as typed calls, and what it says in the bridge's words."""
