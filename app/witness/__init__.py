"""A witness: a small process of its own that looks after logs, and cosigns those that only grow."""
