"""What is taken away is text: no spreadsheet of any country finds a formula in it."""

import pytest

from app.spreadsheets import csv_text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("-500", "-500"),
        ("+33 5 55", "'+33 5 55"),
        # A French spreadsheet cuts at semicolons, whatever the commas and quotes around.
        ("Mediathèque;=1+1", "Mediathèque;'=1+1"),
        ("Mediathèque; @x", "Mediathèque;' @x"),
        ("Lundi ; mardi", "Lundi ; mardi"),
        ("deux\n=lignes", "deux\n'=lignes"),
    ],
)
def test_a_formula_is_made_a_text_where_it_would_begin_a_cell(text, written):
    line = csv_text(["nom"], [[text]]).removeprefix("nom\r\n").removesuffix("\r\n")
    assert line.removeprefix('"').removesuffix('"') == written
