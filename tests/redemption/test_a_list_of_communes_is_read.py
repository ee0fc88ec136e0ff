"""A list of communes is read as spreadsheets save it, and what can be read in two ways is refused with its line."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redemption.communes import (
    Commune,
    CommuneColumnsMissing,
    CommuneWrong,
    NoCommunes,
    read_communes,
)
from redemption.csv_files import NotACsv

GUERET = Commune("23096", "Guéret", 12_734)


@pytest.mark.parametrize(
    "text",
    [
        "code_insee,nom,population\n23096,Guéret,12734\n",
        "Code INSEE;Nom;Population\r\n23096;Guéret;12 734\r\n",
        "sep=;\r\n\r\nCODGEO;LIBGEO;PMUN\r\n23096;Guéret;12\u202f734\r\n",
        "insee\tcommune\thabitants\n23096\tGuéret\t12\u00a0734\n",
        'nom,population,code\n" Guéret ",12734.0,"=""23096"""\n',
        "nom;département;population;insee\nGuéret;23;12734,00;23096,0\n\n;;;\n",
        "COM,Commune,PTOT,PMUN\n23096,Guéret,13210,12734\n",
        "codgeo,libelle,p20_pop\n23096,Guéret,12734\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_it_is_the_same_list_however_it_was_saved(text, encoding):
    if encoding == "cp1252":
        text = text.replace("\u202f", "\u00a0")
    assert read_communes(text.encode(encoding)) == [GUERET]


def test_a_zero_that_excel_took_away_comes_back_and_corsica_has_letters():
    rows = b"insee;nom;population\n1004;Bourg;14\n2A004;Ajaccio;7\n97411;Saint-Denis;9\n"
    found = read_communes(rows)
    assert [c.insee for c in found] == ["01004", "2A004", "97411"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("23096;Guéret", "commune_cells"),
        ("23096;Guéret;12734;x", "commune_cells"),
        ("23096; ;12734", "commune_without_name"),
        (";Guéret;12734", "commune_code"),
        ("230960;Guéret;12734", "commune_code"),
        ("23 rue;Guéret;12734", "commune_code"),
        ("2,3E+04;Guéret;12734", "commune_code_rounded"),
        ("2.31E4;Guéret;12734", "commune_code_rounded"),
        ("23096;Guéret;12.734", "commune_population_two_ways"),
        ("23096;Guéret;1,234", "commune_population_two_ways"),
        ("23096;Guéret;", "commune_population"),
        ("23096;Guéret;-5", "commune_population"),
        ("23096;Guéret;12734,5", "commune_population"),
        ("23096;Guéret;1,27E+04", "commune_population"),
        ("23096;Guéret;#N/A", "commune_population"),
        ("23096;Guéret;99999999", "commune_population"),
        ("23096;Guéret;١٢", "commune_population"),
        ("23008;Aubusson;1", "commune_twice"),
    ],
)
def test_what_cannot_be_believed_is_refused_with_its_line(row, reason):
    text = f"insee;nom;population\n23008;Aubusson;3104\n\n{row}\n"
    with pytest.raises(CommuneWrong) as refusal:
        read_communes(text.encode())
    assert (refusal.value.line, refusal.value.reason) == (4, reason)


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b"sep=;\n", b"insee,nom,population\n", b"insee;nom;pop\n;;\n"]
)
def test_a_file_without_a_commune_says_so(data):
    with pytest.raises(NoCommunes):
        read_communes(data)


def test_columns_that_are_missing_are_named():
    with pytest.raises(CommuneColumnsMissing) as refusal:
        read_communes("code postal;ville;population\n23000;Guéret;1\n".encode())
    assert refusal.value.columns == ("insee", "name")


@pytest.mark.parametrize(
    "data", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x00\x01", b"%PDF-1.7"]
)
def test_a_workbook_is_told_how_to_become_a_csv(data):
    with pytest.raises(NotACsv):
        read_communes(data)


@given(st.binary(max_size=300))
def test_whatever_is_sent_is_read_or_refused(data):
    with suppress(NotACsv, NoCommunes, CommuneColumnsMissing, CommuneWrong):
        assert read_communes(b"insee,nom,population\n" + data)
