"""The Dotdigital side: clients of its v2 and v3 APIs, and the replica the engine sees."""
