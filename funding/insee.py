"""How INSEE writes the code of a commune: 23096, 2A004, 97411."""

import re
from typing import Final

# As the national schema of places has it (mednum 1.0.2, `code_insee`).
COMMUNE: Final = re.compile(r"(?:[013-9][0-9]|2[AB1-9])[0-9]{3}")
