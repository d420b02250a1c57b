"""What tests/bench/exit-latency and linux-loads are made of."""
