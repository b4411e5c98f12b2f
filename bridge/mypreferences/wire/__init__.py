"""The JSON of the MyPreferences API, as far as the bridge uses it. Unknown fields are ignored."""
