"""Every code that people may meet has a sentence, in French and in English, and none is left over."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields
from datetime import date
from functools import cache
from pathlib import Path
from string import Formatter
from types import ModuleType

import msgspec
import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

import app
import funding
import issuance
import ledger
import redemption
from app import errors, mediators, messages
from app.messages import LANGUAGES
from funding.allocation import Funder
from ledger.attempts import ACT_REUSED
from ledger.refusal import Refusal
from redemption import import_sites, mednum, mednum_cells
from redemption.admission import Reason
from redemption.checking import Look, State
from redemption.counter import CODES_LOCKED, OTHER_SITE, WORKSHOP_UNKNOWN
from redemption.reconciliation import STATES

PACKAGES = (ledger, funding, issuance, redemption, app)
APP = Path(app.__file__).parent
CATALOGUES = APP / "locale"

# The facts that every scan refused so brings; a scan brings no others to its sentence.
SCAN_FACTS: dict[str, set[str]] = {
    Reason.ALREADY_REDEEMED: {"on", "site"},
    Reason.TOO_LATE: {"tolerance_until"},
    Reason.NOT_ACCREDITED: {"day"},
    Reason.PROGRAMME_SUSPENDED: {"day"},
}
KEY = re.compile(
    r"(?:refusal|reason|verdict|kept|state|funder|site|mend|pass_title|pass_text)\.\w+"
)


def modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


@cache
def refusals() -> dict[str, type[Refusal]]:
    names = {module.__name__ for module in modules()}
    left, found = [Refusal], {}
    while left:
        for kind in left.pop().__subclasses__():
            left.append(kind)
            if kind.__module__ in names:
                found[kind.code] = kind
    return found


def trees(*chosen: ModuleType) -> list[ast.Module]:
    return [ast.parse(inspect.getsource(module)) for module in chosen]


def words(nodes: ast.AST | None) -> set[str]:
    """Return the literal texts of an expression."""
    return {
        node.value
        for node in ast.walk(nodes or ast.Pass())
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def calls(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    """Find the calls of these functions or methods."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in names:
                yield node


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def http_codes() -> set[str]:
    """Find the codes that `app.errors` gives to plain failures."""
    [tree] = trees(errors)
    found = set[str]()
    for told in calls(tree, "refusal"):
        found |= words(told.args[0])
    for chosen in calls(tree, "get"):
        if isinstance(chosen.func, ast.Attribute) and isinstance(
            chosen.func.value, ast.Dict
        ):
            found |= words(chosen)
    return found


def scan_codes() -> set[str]:
    refused = {reason.value for reason in Reason if reason.value not in mediators.DONE}
    return refused | {WORKSHOP_UNKNOWN, OTHER_SITE, CODES_LOCKED, ACT_REUSED}


def reasons() -> set[str]:
    """Find the words that refusals carry as their `reason`: where they are raised, or in a table there."""
    carriers = {
        kind.__name__
        for kind in refusals().values()
        if "reason" in [field.name for field in fields(kind)]
    }
    found = set[str]()
    for tree in trees(*modules()):
        for function in functions(tree):
            for raised in calls(function, *carriers):
                [told] = raised.args
                if isinstance(told, ast.Constant):
                    found |= words(told)
                elif isinstance(told, ast.Name):
                    tables = [n for n in ast.walk(function) if isinstance(n, ast.Dict)]
                    found |= {
                        word for table in tables for k in table.keys for word in words(k)
                    }
    return found


def site_codes() -> set[str]:
    """Find what may become of a row of a list of sites."""
    found = set[str]()
    for tree in trees(mednum, mednum_cells):
        for function in functions(tree):
            if function.name in {"_refusal", "siret_trouble"}:
                returned = [n for n in ast.walk(function) if isinstance(n, ast.Return)]
                found |= {word for node in returned for word in told_by(node.value)}
        for cleaned in calls(tree, "Cleaned"):
            found |= words(cleaned.args[1])
    for report in calls(trees(import_sites)[0], "RowReport"):
        found |= words(report.args[3])
    return found


def told_by(value: ast.expr | None) -> set[str]:
    """Return what an expression may be, without what it is chosen by."""
    if isinstance(value, ast.IfExp):
        return told_by(value.body) | told_by(value.orelse)
    return words(value) if isinstance(value, ast.Constant) else set()


def mend_codes() -> set[str]:
    """Find the codes of corrections: the steps of each column, and what is noted of a row."""
    found = {
        code for column in mednum.COLUMNS for code, _mend in mednum_cells.steps(column)
    }
    [tree] = trees(mednum)
    for noted in calls(tree, "put", "note"):
        found |= told_by(noted.args[1])
    for function in functions(tree):
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "code":
                found |= told_by(node.value)
    return found


def literal(structure: type[msgspec.Struct], field: str) -> tuple[str, ...]:
    """Return the words that a field of a structure may hold."""
    kind = msgspec.inspect.type_info(structure)
    assert isinstance(kind, msgspec.inspect.StructType)
    [told] = [f.type for f in kind.fields if f.name == field]
    assert isinstance(told, msgspec.inspect.LiteralType)
    return tuple(map(str, told.values))


@cache
def keys() -> frozenset[str]:
    """Return every key that the code may ask a sentence for."""
    rows = import_sites.RowReport
    wanted = {
        "refusal": {*refusals(), *scan_codes(), *http_codes()},
        "reason": reasons(),
        "verdict": {*mediators.DONE, *literal(rows, "verdict")},
        "kept": {*literal(rows, "kept")} - {"no"},
        "state": {*STATES},
        "funder": {funder.value for funder in Funder},
        "site": site_codes(),
        "mend": mend_codes(),
        "pass_title": {state.value for state in State},
        "pass_text": {state.value for state in State},
    }
    return frozenset(f"{kind}.{code}" for kind, codes in wanted.items() for code in codes)


@cache
def texts() -> dict[str, set[str] | None]:
    """Return the texts written in French in the code, with the facts given to each, where told."""
    found: dict[str, set[str] | None] = {}
    for path in APP.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        told = [
            (call, call.args[0])
            for call in calls(tree, "_", "text")
            if ast.unparse(call.func) != "text"  # SQLAlchemy's
        ]
        told += [(call, call.args[1]) for call in calls(tree, "conclude")]
        for call, text in told:
            if isinstance(text, ast.Constant):
                facts = {str(k.arg).removesuffix("_cents") for k in call.keywords}
                found[text.value] = facts
    for path in (APP / "templates").rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        for text in re.findall(r"""_\("((?:[^"\\]|\\.)*)"\)""", page):
            found.setdefault(text, None)
    return found


@cache
def catalogue(language: str) -> Catalog:
    path = CATALOGUES / language / "LC_MESSAGES" / "passnum.po"
    with path.open("rb") as file:
        return read_po(file, locale=language)


def sentences(language: str) -> defaultdict[str, str]:
    return defaultdict(str, {m.id: m.string for m in catalogue(language) if m.id})


def holes(sentence: str) -> set[str]:
    """Return the facts that a sentence asks for."""
    return {name for _text, name, _form, _conversion in Formatter().parse(sentence) if name}


def test_the_codes_are_found_where_they_are_made() -> None:
    few = {"refusal.not_signed_in", "refusal.too_late", "refusal.workshop_unknown"}
    few |= {"refusal.malformed", "refusal.too_large", "refusal.failed", "refusal.stopping"}
    few |= {"reason.no_secret", "reason.less_than_a_cent", "reason.not_made"}
    few |= {
        "site.id_twice",
        "site.siret_invalid",
        "mend.spaces",
        "mend.coordinates_swapped",
    }
    few |= {"verdict.kept", "verdict.candidate", "kept.new", "pass_text.good"}
    assert few <= keys()
    assert {
        "conforme",
        "Scan du pass {serial} annulé.",
        "Vous avez un pass ?",
    } <= texts().keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_has_a_sentence(language: str) -> None:
    told = sentences(language)
    missing = sorted(key for key in keys() if told[key] in {"", key})
    assert missing == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_is_left_over(language: str) -> None:
    allowed = keys() | (texts().keys() if language == "en" else set())
    assert sorted(sentences(language).keys() - allowed) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_is_doubtful_or_retired(language: str) -> None:
    assert [m.id for m in catalogue(language) if m.id and m.fuzzy] == []
    assert list(catalogue(language).obsolete) == []


def test_every_french_text_has_its_english() -> None:
    told = sentences("en")
    assert sorted(text for text in texts() if not told.get(text)) == []


def test_no_french_text_looks_like_a_code() -> None:
    assert [text for text in texts() if KEY.fullmatch(text)] == []


def test_both_languages_tell_the_same_facts() -> None:
    french, english = sentences("fr"), sentences("en")
    assert [key for key in keys() if holes(french[key]) != holes(english[key])] == []
    assert [text for text in texts() if holes(text) != holes(english[text])] == []


def test_a_text_tells_only_facts_that_the_code_gives() -> None:
    asked = {
        text: holes(text) - facts for text, facts in texts().items() if facts is not None
    }
    assert {text: lost for text, lost in asked.items() if lost} == {}


def test_a_refusal_tells_only_facts_that_it_holds() -> None:
    told = sentences("fr")
    lost = {}
    for code in {*refusals(), *scan_codes(), *http_codes()}:
        known = []
        if code in refusals():
            named = [
                field.name.removesuffix("_cents") for field in fields(refusals()[code])
            ]
            known.append(set(named))
        if code in scan_codes() | http_codes():
            known.append(SCAN_FACTS.get(code, set()))
        if beyond := holes(told[f"refusal.{code}"]) - set.intersection(*known):
            lost[code] = beyond
    assert lost == {}


def test_the_page_of_a_pass_tells_only_what_anyone_may_know() -> None:
    told = sentences("fr")
    known = set(Look.__struct_fields__) - {"cents"}  # which the page shows in euros
    for state in State:
        assert holes(told[f"pass_text.{state.value}"]) <= known
        assert not holes(told[f"pass_title.{state.value}"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_and_reasons_hold_no_facts(language: str) -> None:
    told = sentences(language)
    plain = [k for k in keys() if not k.startswith(("refusal.", "pass_text."))]
    assert [key for key in plain if holes(told[key])] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_no_is_a_whole_sentence_and_a_reason_is_a_part_of_one(language: str) -> None:
    told = sentences(language)
    whole = ("refusal.", "pass_text.", "site.", "mend.")
    assert [k for k in keys() if k.startswith(whole) and not told[k].endswith(".")] == []
    assert [k for k in keys() if k.startswith("reason.") and told[k].endswith(".")] == []


def test_a_pass_already_used_tells_when_and_where() -> None:
    facts = {"on": date(2020, 2, 3), "site": "Guéret"}
    french = messages.messages("fr").refusal("already_redeemed", facts)
    assert french == "Ce pass a servi le 3 février 2020 à Guéret. Demandez un autre pass."
    english = messages.messages("en").refusal("already_redeemed", facts)
    assert (
        english == "This pass was used on February 3, 2020 at Guéret. Ask for another pass."
    )


def test_an_amount_and_a_reason_are_told_in_words() -> None:
    m = messages.messages("fr")
    facts = {"tranche": "T1", "asked_cents": 500_000, "left_cents": 123_450}
    told = m.refusal("envelope_exceeded", facts).replace("\u202f", " ").replace("\xa0", " ")
    assert told == (
        "Il reste 1 234,50 € dans la tranche T1. Cette commande demande 5 000,00 €."
        " Commandez moins de carnets."
    )
    assert m.refusal("keys_locked", {"reason": "no_secret"}).startswith(
        "Les clés restent fermées : le secret manque."
    )


def test_a_fact_that_no_catalogue_names_is_told_as_it_is() -> None:
    told = messages.messages("fr").refusal(
        "settings_wrong", {"reason": "PASSNUM_KEY_FILE: x"}
    )
    assert "PASSNUM_KEY_FILE: x" in told


def test_a_language_that_we_do_not_speak_is_answered_in_french() -> None:
    assert messages.messages("oc").refusal("no_keys") == messages.messages("fr").refusal(
        "no_keys"
    )
