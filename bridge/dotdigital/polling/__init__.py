"""The feeds and listings of Dotdigital, and which of them a polling run reads."""
