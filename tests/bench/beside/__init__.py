"""Ringway beside its peers: a laboratory, one adapter per peer, traffic, results.

Reading order: laboratory, peers/routing, peers/ringway, traffic, turn, results, plot.
"""
