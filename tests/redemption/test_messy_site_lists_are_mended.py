"""A site list as people keep it comes out clean, and says everything that was mended."""

import string
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redemption.csv_files import RECORD_LINES_MAX, NotACsv, records
from redemption.mednum import (
    COLUMNS,
    EmptyFile,
    MissingColumns,
    clean,
    read,
)
from redemption.mednum_vocabulary import VOCABULARY, fold, official

TODAY = date(2026, 3, 2)
CREUSE = Path(__file__).parents[2].parent / "shared/data/lieux-creuse.csv"

HEADER = "id,nom,commune,code_postal,adresse"
GUERET = "q1,La Quincaillerie,Guéret,23000,22 avenue Charles de Gaulle"


def a_row(**cells):
    """Give a row that needs no mending, but for the cells given."""
    plain = {
        "id": "quincaillerie",
        "pivot": "73282932000074",
        "nom": "La Quincaillerie",
        "commune": "Guéret",
        "code_postal": "23000",
        "adresse": "22 avenue Charles de Gaulle",
        "latitude": "46.171019",
        "longitude": "1.873437",
        "telephone": "+33555520000",
        "date_maj": "2025-11-30",
        "services": "Accès internet et matériel informatique",
    }
    return dict.fromkeys(COLUMNS, "") | plain | cells


def cleaned(**cells):
    return clean(a_row(**cells), imported_on=TODAY)


def mended(column, text):
    """Give a cell once mended, and the codes of what was done to it."""
    result = cleaned(**{column: text})
    codes = [
        correction.code for correction in result.corrections if correction.field == column
    ]
    return result.site.row()[column], codes


def rows(text, encoding="utf-8"):
    return list(read(text.encode(encoding)))


def test_the_schema_has_its_thirty_two_columns_in_order():
    assert len(COLUMNS) == 32
    assert COLUMNS[:3] == ("id", "pivot", "nom")
    assert COLUMNS[20:22] == ("date_maj", "services")
    assert COLUMNS[-1] == "prise_rdv"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_reads_the_same_however_a_spreadsheet_saved_it(encoding, delimiter, end):
    text = f"{HEADER}{end}{GUERET}{end}".replace(",", delimiter)

    [(line, row)] = rows(text, encoding)

    assert line == 2
    assert row["commune"] == "Guéret"
    assert row["adresse"] == "22 avenue Charles de Gaulle"
    assert row["services"] == ""


def test_headers_are_known_whatever_their_case_and_spaces():
    [(_, row)] = rows(
        f" ID ,Nom,COMMUNE, code_postal,Adresse\u00a0,couleur\n{GUERET},bleu\n"
    )

    assert row["id"] == "q1"
    assert "couleur" not in row


def test_the_separator_line_of_a_spreadsheet_is_passed_over():
    [(line, row)] = rows(f"sep=;\n{HEADER}\n{GUERET}\n".replace(",", ";"))

    assert (line, row["id"]) == (3, "q1")


def test_a_row_is_named_by_the_line_it_starts_on():
    text = f'{HEADER}\n"q1","La\nQuincaillerie",Guéret,23000,\n\n,,,,\n{GUERET}\n'

    assert [(line, row["nom"]) for line, row in rows(text)] == [
        (2, "La\nQuincaillerie"),
        (6, "La Quincaillerie"),
    ]


def test_a_quote_never_closed_costs_no_other_row():
    text = f'{HEADER}\nq0,"Le Chai,Bonnat,23220,22 rue Grande\n' + f"{GUERET}\n" * 3000

    found = rows(text)

    assert len(found) == 3001
    assert found[0][0] == 2
    assert found[0][1]["commune"] == "Bonnat"


def test_two_quotes_never_closed_do_not_make_one_row():
    text = f'{HEADER}\nq0,"Le Chai,Bonnat,23220,\nq1,"La Palette,Bonnat,23220,\n{GUERET}\n'

    assert [row["nom"] for _, row in rows(text)] == [
        "Le Chai",
        "La Palette",
        "La Quincaillerie",
    ]


class Watched(list):
    """Lines that count how often one of them is read."""

    looked = 0

    def __getitem__(self, place):
        self.looked += 1
        return super().__getitem__(place)


def test_quotes_never_closed_cost_no_more_for_each_line_of_a_longer_file():
    short, long = (Watched(['a";"1;2;3\n'] * count) for count in (500, 1_000))
    assert len(list(records(short, 0, 4, ";"))) == 500
    assert len(list(records(long, 0, 4, ";"))) == 1_000
    assert long.looked - short.looked <= 500 * (RECORD_LINES_MAX + 2)


def test_a_cell_may_hold_many_line_breaks_and_no_whole_file():
    whole, torn = (
        ["1;2;3;" + '"one\n', *["more\n"] * (n - 2), 'last"\n']
        for n in (RECORD_LINES_MAX, RECORD_LINES_MAX + 1)
    )
    [(line, cells)] = records(whole, 0, 4, ";")
    assert (line, cells[:3], cells[3].count("\n")) == (
        1,
        ["1", "2", "3"],
        RECORD_LINES_MAX - 1,
    )
    line, cells = next(records(torn, 0, 4, ";"))
    assert (line, [cell.strip() for cell in cells]) == (1, ["1", "2", "3", "one"])


def test_text_after_a_closing_quote_stays_in_its_cell():
    [(_, row)] = rows(f'{HEADER}\nq0,"Chai, le" Grand,Bonnat,23220,\n')

    assert (row["nom"], row["commune"]) == ("Chai, le Grand", "Bonnat")


def test_a_row_with_too_few_cells_is_judged_on_those_it_has():
    [(_, row)] = rows(f"{HEADER}\nq1,La Quincaillerie\n")

    assert clean(row, imported_on=TODAY).code == "commune_missing"


def test_a_row_with_too_many_cells_is_refused_and_the_next_is_not():
    [(_, shifted), (_, sound)] = rows(f"{HEADER}\n{GUERET},2e étage\n{GUERET},,,\n")

    assert clean(shifted, imported_on=TODAY).code == "too_many_cells"
    assert clean(shifted, imported_on=TODAY).site is None
    assert clean(sound, imported_on=TODAY).verdict == "candidate"


def test_a_file_without_the_columns_of_a_place_is_refused_at_once():
    with pytest.raises(MissingColumns) as refusal:
        read(b"id;nom;ville\n1;Le Chai;Bonnat\n")

    assert refusal.value.columns == ("commune", "code_postal", "adresse")


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\r\n \n"])
def test_an_empty_file_is_refused(data):
    with pytest.raises(EmptyFile):
        read(data)


@pytest.mark.parametrize(
    "data", [b"PK\x03\x04\x00\x00", "id,nom".encode("utf-16"), b"\x81\x8d"]
)
def test_a_workbook_is_not_a_list(data):
    with pytest.raises(NotACsv):
        read(data)


def test_a_row_in_order_is_accepted_as_it_came():
    result = cleaned()

    assert (result.verdict, result.code, result.corrections) == ("accepted", "accepted", ())
    assert result.site.siret == "73282932000074"
    assert result.site.row() == a_row()


@pytest.mark.parametrize(
    ("column", "typed", "kept", "codes"),
    [
        ("nom", "  La\u00a0 Quincaillerie ", "La Quincaillerie", ["spaces"]),
        ("nom", "L’Alzire", "L’Alzire", []),
        ("nom", "Gue\u0301ret\u200b", "Guéret", ["characters"]),
        ("nom", "=1+1", "=1+1", []),
        ("pivot", "732 829 320 00074", "73282932000074", ["pivot_format"]),
        ("pivot", "73282932000074.0", "73282932000074", ["pivot_format"]),
        ("pivot", "542012000007", "00542012000007", ["siret_zero"]),
        ("commune", "0 Pontarion", "Pontarion", ["commune_leading_figures"]),
        (
            "commune",
            "23000 Guéret Cedex 9",
            "Guéret",
            ["commune_leading_figures", "commune_cedex"],
        ),
        (
            "commune",
            "Saint-Vaury  Numéro de téléphone",
            "Saint-Vaury",
            ["commune_trailing_label"],
        ),
        ("commune", "La  Souterraine", "La Souterraine", ["spaces"]),
        ("code_postal", "1000", "01000", ["postcode_zero"]),
        ("code_postal", "1000.0", "01000", ["postcode_format", "postcode_zero"]),
        ("code_postal", "23000.0", "23000", ["postcode_format"]),
        ("code_postal", "23 000", "23000", ["postcode_format"]),
        ("code_postal", '="01000"', "01000", ["postcode_format"]),
        ("code_insee", "1053", "01053", ["insee_zero"]),
        ("code_insee", "2a004", "2A004", ["insee_format"]),
        ("code_insee", "Guéret", "", ["insee_invalid"]),
        ("telephone", "05 55 52 00 00", "+33555520000", ["phone_format"]),
        ("telephone", "555520000", "+33555520000", ["phone_format"]),
        ("telephone", "+33 (0)5-55-52-00-00", "+33555520000", ["phone_format"]),
        ("telephone", "0033555520000", "+33555520000", ["phone_format"]),
        ("telephone", "33555520000", "+33555520000", ["phone_format"]),
        ("telephone", "Tél. : 05.55.52.00.00", "+33555520000", ["phone_format"]),
        ("telephone", "0555520000 ou 0611223344", "+33555520000", ["phone_format"]),
        ("telephone", "+33555520000|+33555520001|x", "+33555520000", ["phone_format"]),
        ("telephone", "0590 12 34 56", "+590590123456", ["phone_format"]),
        ("telephone", "5,55E+08", "", ["phone_unreadable"]),
        ("telephone", "voir la mairie", "", ["phone_unreadable"]),
        (
            "courriels",
            "a@creuse.fr; b@creuse.fr",
            "a@creuse.fr|b@creuse.fr",
            ["list_format"],
        ),
        ("courriels", "mailto:a@creuse.fr", "a@creuse.fr", ["email_format"]),
        ("courriels", "a(at)creuse.fr", "", ["email_unreadable"]),
        ("site_web", "www.creuse.fr", "https://www.creuse.fr", ["url_format"]),
        ("site_web", "javascript:alert(1)", "", ["url_unreadable"]),
        ("presentation_resume", "x" * 281, "x" * 280, ["text_cut"]),
        ("presentation_resume", "x" * 279 + " y", "x" * 279, ["text_cut"]),
        ("presentation_detail", "un \n deux", "un\ndeux", ["spaces"]),
        ("adresse", "", "", ["address_missing"]),
        ("date_maj", "", "2026-03-02", ["date_missing"]),
        ("date_maj", "31/12/2023", "2023-12-31", ["date_format"]),
        ("date_maj", "45291", "2023-12-31", ["date_format"]),
        ("date_maj", "2023-12-31T10:00:00Z", "2023-12-31", ["date_format"]),
        ("date_maj", "12/31/2023", "2026-03-02", ["date_unreadable"]),
        ("date_maj", "2026-03-03", "2026-03-02", ["date_future"]),
        ("latitude", "46,171019", "46.171019", ["coordinate_format"]),
        ("latitude", "46171019", "", ["coordinates_unreadable"]),
        ("latitude", "61.5", "", ["coordinates_outside"]),
        ("frais_a_charge", "gratuit", "Gratuit", ["vocabulary_spelling"]),
        (
            "frais_a_charge",
            "Gratuit|Accepte le Pass numérique",
            "Gratuit",
            ["unknown_value"],
        ),
        (
            "publics_specifiquement_adresses",
            "Jeunes;Femmes",
            "Jeunes|Femmes",
            ["list_format"],
        ),
        ("itinerance", "itinerant", "Itinérant", ["vocabulary_spelling"]),
        (
            "modalites_acces",
            "Ce lieu n’accueille pas de public",
            "Ce lieu n'accueille pas de public",
            ["vocabulary_spelling"],
        ),
    ],
)
def test_a_damaged_cell_is_mended_or_dropped_and_said(column, typed, kept, codes):
    assert mended(column, typed) == (kept, codes)
    assert mended(column, kept)[0] == kept


def test_an_unknown_word_is_named():
    [correction] = cleaned(
        services="Accès internet et matériel informatique|Couture"
    ).corrections

    assert (correction.field, correction.before, correction.after) == (
        "services",
        "Couture",
        "",
    )


def test_coordinates_in_the_wrong_order_are_dropped_together():
    result = cleaned(latitude="1.873437", longitude="46.171019")

    assert {correction.code for correction in result.corrections} == {"coordinates_swapped"}
    assert (result.site.latitude, result.site.longitude) == (None, None)


@pytest.mark.parametrize(
    ("pivot", "code", "kept"),
    [
        ("", "no_siret", None),
        ("W232001234", "no_siret", "W232001234"),
        ("1234567001", "no_siret", "1234567001"),
        ("1,23457E+13", "siret_unreadable", "1,23457E+13"),
        ("en cours", "siret_unreadable", "en cours"),
        ("732 829 320 00079", "siret_invalid", "73282932000079"),
        ("00000000000000", "siret_invalid", "00000000000000"),
    ],
)
def test_a_place_without_a_siret_that_holds_is_a_candidate(pivot, code, kept):
    result = cleaned(pivot=pivot, code_postal="1000")

    assert (result.verdict, result.code) == ("candidate", code)
    assert (result.site.siret, result.site.pivot) == (None, kept)
    assert "postcode_zero" in {correction.code for correction in result.corrections}


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ({"id": "  "}, "id_missing"),
        ({"nom": ""}, "name_missing"),
        ({"commune": "0"}, "commune_missing"),
        ({"code_postal": ""}, "postcode_invalid"),
        ({"code_postal": "Creuse"}, "postcode_invalid"),
        ({"code_postal": "230"}, "postcode_invalid"),
        ({"code_postal": "00000"}, "postcode_invalid"),
    ],
)
def test_a_row_that_is_no_place_is_refused(cells, code):
    result = cleaned(**cells)

    assert (result.verdict, result.code, result.site) == ("refused", code, None)


def test_no_two_words_of_the_schema_look_alike():
    for column, values in VOCABULARY.items():
        assert len({fold(value) for value in values}) == len(values)
        assert [official(column, value) for value in values] == list(values)


damage = st.text(alphabet="0123456789+-.,;|/=\"' \u00a0\t\n°()@:EWwéÉa", max_size=24)
official_words = st.sampled_from([word for words in VOCABULARY.values() for word in words])
lists = st.lists(official_words | damage, max_size=4).map("; ".join)
written = st.sampled_from(
    [
        "05 55 52 00 00",
        "+33555520000|+33555520001|x",
        "mailto:a@b.fr;c",
        "www.b.fr/é;www.c.fr",
        "https://b.fr,see http://c.fr",
        "0 Guéret cedex 9 cedex",
        "23 000.00",
        "46,17°",
        "31/12/23",
        "45291,5",
        "542012000007",
    ]
)
anything = st.text() | damage | lists | written | st.text(string.printable)


def assert_that_cleaning_again_changes_nothing(first):
    again = clean(first.site.row(), imported_on=TODAY)

    assert again.site == first.site
    assert (again.verdict == "candidate") == (first.verdict == "candidate")
    assert {correction.code for correction in again.corrections} <= {"address_missing"}


@pytest.mark.parametrize("column", COLUMNS)
@given(text=anything)
def test_cleaning_what_was_cleaned_changes_nothing(column, text):
    first = cleaned(**{column: text})

    if first.site is not None:
        assert_that_cleaning_again_changes_nothing(first)


@given(st.dictionaries(st.sampled_from(COLUMNS), anything))
def test_no_row_is_too_strange_to_be_judged(cells):
    first = cleaned(**cells)

    if first.site is not None:
        assert_that_cleaning_again_changes_nothing(first)


@given(st.binary() | st.text().map(lambda text: f"{HEADER}\n{text}".encode()))
def test_no_file_is_too_strange_to_be_judged(data):
    try:
        found = list(read(data))
    except (EmptyFile, MissingColumns, NotACsv):
        return

    for _, row in found:
        assert clean(row, imported_on=TODAY).verdict in {"candidate", "refused"}


def test_the_list_of_the_creuse_loses_no_place():
    if not CREUSE.exists():
        pytest.skip("needs ../shared/data, absent from this clone")

    judged = [clean(row, imported_on=TODAY) for _, row in read(CREUSE.read_bytes())]

    assert Counter((each.verdict, each.code) for each in judged) == {
        ("candidate", "no_siret"): 91
    }
    done = Counter(correction.code for each in judged for correction in each.corrections)
    assert done == {
        "date_missing": 91,
        "spaces": 14,
        "commune_trailing_label": 2,
        "commune_leading_figures": 1,
        "address_missing": 2,
    }
    communes = {each.site.commune for each in judged}
    assert {"Pontarion", "Saint-Vaury", "Saint-Sulpice-le-Dunois"} <= communes
