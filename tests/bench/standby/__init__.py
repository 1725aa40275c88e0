"""The pairs of gateways that tests/bench/failover compares."""
