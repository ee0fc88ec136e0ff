"""What is printed on a pass: made again from the keys whenever it is needed, never stored."""

from collections.abc import Iterator

from issuance import codes, tokens
from issuance.keys import Signer
from issuance.making import sign_voucher
from issuance.orders import OrderRow
from issuance.printed import PrintedPass
from issuance.serials import Serial


def printed_passes(
    order: OrderRow, signer: Signer, host: str, *, first: int = 0, count: int | None = None
) -> Iterator[PrintedPass]:
    """Yield the passes of `count` carnets of an order, from the `first` one (0) on.

    Each is worth money: whoever calls this writes it where only the printer reads.
    """
    last = order.carnets if count is None else min(order.carnets, first + count)
    for number in range(order.first_carnet + first, order.first_carnet + last):
        for rank in range(1, order.carnet_size + 1):
            serial = Serial(signer.departement, number, rank)
            token = sign_voucher(order, serial, signer)
            code = codes.derive(signer.code_key, serial)
            yield PrintedPass(
                serial, tokens.to_url(host, token), codes.display(signer.departement, code)
            )
