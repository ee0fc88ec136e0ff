"""Vouchers spent at accredited sites: workshops, the counter, undo, lapse, reconciliation."""
