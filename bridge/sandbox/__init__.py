"""Both vendors' services, emulated as real HTTP servers on the loopback interface."""
