"""Vouchers made, signed, stocked and handed out: orders, carnets, tokens, keys, desks."""
