"""A list of a former operator's carnets is read as spreadsheets save it; what they destroyed is told."""

from datetime import date
from hashlib import sha256

import pytest

from issuance.foreign import bare
from redemption.csv_files import NotACsv
from redemption.foreign_csv import read_foreign_list
from redemption.mednum import EmptyFile, MissingColumns

LINE = "C-1;000123;10,00 €;31/12/2027"
HEADER = "carnet;numero;valeur;fin"


@pytest.mark.parametrize(
    "data",
    [
        f"{HEADER}\n{LINE}\n".encode(),
        f"\ufeffCarnet;Numéro;Valeur;Fin\r\n{LINE}\r\n".encode(),
        f"CARNET;NUMÉRO;VALEUR;FIN\r\n{LINE}\r\n".encode("cp1252"),
        f"sep=;\r\n{HEADER}\r\n\r\n{LINE}\r\n;;;\r\n".encode("cp1252"),
        b'carnet,numero,valeur,fin\nC-1,"000123","10,00",2027-12-31\n',
        b"valeur\tfin\tcarnet\tnumero\tremarque\n10.00\t2027-12-31\tC-1\t000123\trien\n",
        f'{HEADER}\nC-1;="000123";10;31/12/27\n'.encode(),
        f"{HEADER}\nC-1;'000123;10;46752\n".encode(),
        f'{HEADER}\n"C-1" ; 123 ;10 EUR;31.12.2027 00:00\n'.encode(),
        f"{HEADER};qr\nC-1;000123;10;31-12-2027\n".encode(),
    ],
    ids=range(10),
)
def test_one_pass_is_read_whatever_wrote_it(data):
    listed = read_foreign_list(data)
    assert listed.faults == ()
    [one] = listed.passes
    assert (one.carnet, bare(one.number), one.qr) == ("C-1", "123", None)
    assert (one.face_cents, one.use_by) == (1_000, date(2027, 12, 31))
    assert listed.file_sha256 == sha256(data).digest()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("C-1;1,23E+15;10;31/12/2027", "number_abbreviated"),
        ("1E+05;123;10;31/12/2027", "number_abbreviated"),
        ("C-1;123;;31/12/2027", "value_odd"),
        ("C-1;123;10,005;31/12/2027", "value_odd"),
        ("C-1;123;-10;31/12/2027", "value_odd"),
        ("C-1;123;700;31/12/2027", "value_odd"),
        ("C-1;123;10;", "day_odd"),
        ("C-1;123;10;31/02/2027", "day_odd"),
        ("C-1;123;10;décembre 2027", "day_odd"),
        ("C-1;123;10;31/12/2027;trop", "cells"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line_and_spoils_no_other(line, code):
    listed = read_foreign_list(f"{HEADER}\n{LINE}\n{line}\n{LINE}\n".encode())
    assert [(fault.line, fault.code) for fault in listed.faults] == [(3, code)]
    assert [one.line for one in listed.passes] == [2, 4]


def test_numbers_that_a_spreadsheet_rounded_are_told_unless_one_shows_they_were_not():
    rounded = "C-1;1234567890123450;10;31/12/2027\nC-1;9234567890123460;10;31/12/2027"
    listed = read_foreign_list(f"{HEADER}\n{LINE}\n{rounded}\n".encode())
    assert [(f.line, f.code) for f in listed.faults] == [
        (3, "number_rounded"),
        (4, "number_rounded"),
    ]
    whole = f"{HEADER}\n{rounded}\nC-1;1234567890123457;10;31/12/2027\n"
    assert read_foreign_list(whole.encode()).faults == ()


def test_a_file_that_is_no_list_is_refused_as_a_whole():
    with pytest.raises(EmptyFile):
        read_foreign_list(b"\n \n")
    with pytest.raises(NotACsv):
        read_foreign_list(b"PK\x03\x04")
    with pytest.raises(MissingColumns) as no:
        read_foreign_list(b"carnet;numero\n1;2\n")
    assert no.value.columns == ("valeur", "fin")
