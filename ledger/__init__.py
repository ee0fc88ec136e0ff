"""Euros that are never lost: entries, accounts, and the tamper-evident log. It knows nothing of vouchers."""
