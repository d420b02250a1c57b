"""Lintel's event trace: out of a log, and into what a viewer opens."""
