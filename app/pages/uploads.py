"""Files that people send: one a form, of a known type, of a bounded size."""

from dataclasses import dataclass

from litestar.datastructures import UploadFile
from litestar.exceptions import HTTPException
from litestar.status_codes import HTTP_413_REQUEST_ENTITY_TOO_LARGE

from app.mail.writing import one_line
from app.pages.frame import Asked, form_of
from app.works.models import INPUT_MAX
from ledger.refusal import Refusal
from redemption.csv_files import NotACsv

# The other fields of a form, and what a browser writes around each.
BODY_MAX = INPUT_MAX + 20_000


@dataclass(eq=False)
class UploadMissing(Refusal):
    """No file was chosen."""

    code = "upload_missing"


@dataclass(eq=False)
class UploadTooLarge(Refusal):
    """The file is larger than what is taken."""

    code = "upload_too_large"

    megabytes: int = INPUT_MAX // 1_000_000


async def form_with_file(request: Asked) -> dict[str, str]:
    """Read a form that carries a file, as `form_of` does; `UploadTooLarge` before it is read whole.

    The route says how much it reads: `request_max_body_size=BODY_MAX`.
    """
    try:
        return await form_of(request)
    except HTTPException as error:
        if error.status_code == HTTP_413_REQUEST_ENTITY_TOO_LARGE:
            raise UploadTooLarge from None
        raise


async def csv_of(request: Asked, field: str) -> tuple[str, bytes]:
    """Return the name and the content of a CSV file that was sent with a form.

    Refused with `upload_missing`, `upload_too_large`, and `not_a_csv` for a file of another name;
    whether its content is a CSV is for its reader to say.
    """
    sent = (await request.form()).get(field)
    if not isinstance(sent, UploadFile) or not sent.filename:
        raise UploadMissing
    if not sent.filename.lower().endswith(".csv"):
        raise NotACsv
    data = await sent.read(INPUT_MAX + 1)
    if len(data) > INPUT_MAX:
        raise UploadTooLarge
    return one_line(sent.filename), data
