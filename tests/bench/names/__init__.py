"""Ringway's DNS beside NSD, Knot and unbound: what `tests/bench/dns` runs."""
