"""The real engine, store and core under a simulated clock, network, process and both services."""
