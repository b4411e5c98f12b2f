"""The MyPreferences side: its API as typed calls, and its data as observations."""
