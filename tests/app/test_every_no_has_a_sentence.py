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
from typing import get_args

import msgspec
import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes

import app
import funding
import issuance
import ledger
import redemption
from app import errors, mediators, messages, pages
from app.messages import LANGUAGES
from app.pages import answers, departement, mediator, order_steps, visitors
from app.pages.orders import Step
from app.pages.stock import REASONS
from app.people.roles import Role
from funding import publics
from funding.allocation import Funder
from issuance.foreign_lists import FaultCode
from issuance.hand_outs import Need, Proof
from issuance.limits import DespiteLimit
from ledger.attempts import ACT_REUSED
from ledger.refusal import Refusal
from redemption import import_sites, mednum, mednum_cells
from redemption.admission import Reason
from redemption.checking import Look, State
from redemption.counter import CODES_LOCKED, OTHER_SITE, WORKSHOP_UNKNOWN
from redemption.recognition import MISTYPED
from redemption.reconciliation import STATES
from redemption.replacing import Loss
from redemption.workshops import Kind

PACKAGES = (ledger, funding, issuance, redemption, app)
APP = Path(app.__file__).parent
CATALOGUES = APP / "locale"
TEMPLATES = APP / "templates"

# The facts that every scan refused so brings; a scan brings no others to its sentence.
SCAN_FACTS: dict[str, set[str]] = {
    Reason.ALREADY_REDEEMED: {"on", "site"},
    Reason.REPLACED: {"on"},
    Reason.TOO_LATE: {"tolerance_until"},
    Reason.NOT_ACCREDITED: {"day"},
    Reason.PROGRAMME_SUSPENDED: {"day"},
}
# The facts that a verdict which is not a no brings for certain; what is owed, only once accepted.
VERDICT_FACTS: dict[str, set[str]] = {Reason.ACCEPTED: {"face"}}


def modules(*packages: ModuleType) -> Iterator[ModuleType]:
    for package in packages or PACKAGES:
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


@cache
def tree_of(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def trees(*chosen: ModuleType) -> list[ast.Module]:
    return [tree_of(module) for module in chosen]


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


def facts_in(told: ast.AST, function: ast.AST | None = None) -> set[str]:
    """Return the names in a dict of facts; those of a variable, where its function fills it."""
    dicts = [node for node in ast.walk(told) if isinstance(node, ast.Dict)]
    found = {word for facts in dicts for k in facts.keys for word in words(k)}
    variables = {node.id for node in ast.walk(told) if isinstance(node, ast.Name)}
    filled = [
        facts_in(node.value)
        for node in ast.walk(function or ast.Pass())
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Dict)
        and ast.unparse(node.targets[0]) in variables
    ]
    return {
        name.removesuffix("_cents")
        for name in found | (set.intersection(*filled) if filled else set())
    }


def plain_codes(*chosen: ModuleType) -> set[str]:
    """Find the codes that these modules give to plain failures."""
    found = set[str]()
    for tree in trees(*chosen):
        for told in calls(tree, "refusal"):
            found |= words(told.args[0])
        for chosen_by in calls(tree, "get"):
            if isinstance(chosen_by.func, ast.Attribute) and isinstance(
                chosen_by.func.value, ast.Dict
            ):
                found |= words(chosen_by)
    return found


@cache
def http_codes() -> set[str]:
    return plain_codes(errors, answers)


@cache
def form_codes() -> dict[str, set[str]]:
    """Find the refusals that pages tell by their code, with the facts given to each."""
    found: dict[str, set[str]] = {}
    for tree in trees(*modules(pages)):
        for told in calls(tree, "refusal"):
            by_name, *facts = told.args
            given = set[str]().union(*map(facts_in, facts))
            for code in told_by(by_name):
                found[code] = found.get(code, given) & given
    return found


@cache
def scan_codes() -> set[str]:
    refused = {reason.value for reason in Reason if reason.value not in mediators.DONE}
    return refused | {WORKSHOP_UNKNOWN, OTHER_SITE, CODES_LOCKED, ACT_REUSED, MISTYPED}


def good_verdicts() -> set[str]:
    """Find the verdicts whose sentence is not a refusal's, where a page tells them apart."""
    [shown] = [f for tree in trees(mediator) for f in functions(tree) if f.name == "_shown"]
    [good] = [
        node.value
        for node in ast.walk(shown)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "good"
    ]
    return words(good)


def refused_pages() -> set[str]:
    """Find the refusals that have a page of their own; a few lead to a door instead."""
    [tree] = trees(answers)
    doors = {
        word
        for function in functions(tree)
        for node in ast.walk(function)
        if function.name == "_door" and isinstance(node, ast.Compare)
        for word in words(node)
    }
    guards = {c for c, kind in refusals().items() if kind.__module__ == visitors.__name__}
    assert doors <= guards
    return (guards | plain_codes(answers)) - doors


def done_codes() -> set[str]:
    """Find what a page may say first, after a form."""
    return {
        word
        for tree in trees(*modules(pages))
        for sent in calls(tree, "go")
        for told in sent.keywords
        if told.arg == "done"
        for word in told_by(told.value)
    }


@cache
def todos() -> dict[str, set[str]]:
    """Find what may wait for a decision, with the facts given to each."""
    found: dict[str, set[str]] = {}
    for tree in trees(departement):
        for function in functions(tree):
            for told in calls(function, "Todo"):
                [code] = words(told.args[0])
                found[code] = facts_in(told.args[1], function)
    return found


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
    for tree in trees(mednum, mednum_cells, import_sites):
        for function in functions(tree):
            if function.name in {"_refusal", "siret_trouble"}:
                returned = [n for n in ast.walk(function) if isinstance(n, ast.Return)]
                found |= {word for node in returned for word in told_by(node.value)}
        for cleaned in calls(tree, "Cleaned"):
            found |= words(cleaned.args[1])
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
    for noting in trees(mednum, import_sites):
        for noted in calls(noting, "put", "note", "Correction"):
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
        "refusal": {*refusals(), *scan_codes(), *http_codes(), *form_codes()},
        "reason": reasons(),
        "verdict": {*mediators.DONE, *literal(rows, "verdict")},
        "kept": {*literal(rows, "kept")} - {"no"},
        "state": {*STATES},
        "funder": {funder.value for funder in Funder},
        "site": site_codes(),
        "mend": mend_codes(),
        "fault": {*get_args(FaultCode)},
        "pass_title": {state.value for state in State},
        "pass_text": {state.value for state in State},
        "role": {role.value for role in Role},
        "proof": {*get_args(Proof)},
        "proof_told": {*get_args(Proof)},
        "public": {*publics.KNOWN},
        "need": {*get_args(Need)},
        "despite_limit": {*get_args(DespiteLimit)},
        "loss": {*get_args(Loss)},
        "withdrawal": {*REASONS},
        "workshop_kind": {*get_args(Kind)},
        "verdict_title": good_verdicts() | scan_codes(),
        "verdict_text": good_verdicts(),
        "done": done_codes(),
        "order_step": {*get_args(Step)},
        "milestone": {*get_args(order_steps.Name)},
        "next": {*get_args(order_steps.Next)},
        "todo": {*todos()},
        "refused_title": refused_pages(),
    }
    return frozenset(f"{kind}.{code}" for kind, codes in wanted.items() for code in codes)


def kinds() -> set[str]:
    return {key.partition(".")[0] for key in keys()}


@cache
def page_calls() -> list[nodes.Call]:
    """Return what the templates call."""
    read = Environment(autoescape=True).parse
    files = [path for path in TEMPLATES.rglob("*") if path.is_file()]
    found = [read(path.read_text(encoding="utf-8")) for path in files]
    return [call for page in found for call in page.find_all(nodes.Call)]


def told_in_code() -> Iterator[tuple[str, set[str]]]:
    for path in APP.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        told = [
            (call, call.args[0])
            for call in calls(tree, "_", "text")
            if ast.unparse(call.func) != "text"  # SQLAlchemy's
        ]
        told += [(call, call.args[1]) for call in calls(tree, "conclude")]
        for call, text in told:
            for written in told_by(text):
                yield written, {str(k.arg) for k in call.keywords}


def told_in_pages() -> Iterator[tuple[str, set[str]]]:
    for call in page_calls():
        name = getattr(call.node, "name", getattr(call.node, "attr", ""))
        if name in {"_", "text"} and isinstance(call.args[0], nodes.Const):
            yield call.args[0].value, {fact.key for fact in call.kwargs}


@cache
def texts() -> dict[str, set[str]]:
    """Return the texts written in French in code and pages, with the facts given each time."""
    found: dict[str, set[str]] = {}
    for text, told in [*told_in_code(), *told_in_pages()]:
        facts = {name.removesuffix("_cents") for name in told}
        found[text] = found.get(text, facts) & facts
    return found


@cache
def kinds_asked_for() -> set[str]:
    """Find the kinds of words and sentences that code and pages ask for."""
    found = set[str]()
    for tree in trees(*modules(app)):
        for asked in calls(tree, "word", "word_or_code"):
            found |= words(asked.args[0])
        for asked in calls(tree, "text"):
            of_ours = ast.unparse(asked.func) != "text"  # not SQLAlchemy's
            if of_ours and isinstance(asked.args[0], ast.JoinedStr):
                found |= {word.rstrip(".") for word in words(asked.args[0].values[0])}
    for call in page_calls():
        name = getattr(call.node, "attr", "")
        if name in {"word", "word_or_code"} and isinstance(call.args[0], nodes.Const):
            found.add(call.args[0].value)
        elif name == "text" and isinstance(call.args[0], nodes.Concat):
            found |= {part.value.rstrip(".") for part in call.args[0].find_all(nodes.Const)}
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
    few |= {"refusal.sign_in_refused", "refusal.passwords_differ", "refusal.date_needed"}
    few |= {"role.mediator", "proof.attested", "need.train", "workshop_kind.at_home"}
    few |= {"verdict_title.accepted", "verdict_title.mistyped_code", "verdict_text.kept"}
    few |= {"done.signed_out", "done.role_given", "todo.ends_soon", "todo.not_active"}
    few |= {"refused_title.no_such_page", "refused_title.second_factor_missing"}
    assert few <= keys()
    assert not {"refused_title.sign_in_needed", "verdict_text.unknown"} & keys()
    assert {
        "conforme",
        "Scan du pass {serial} annulé.",
        "Vous avez un pass\u202f?",
    } <= texts().keys()


def test_the_texts_of_pages_are_found_with_their_facts() -> None:
    assert texts()["Pass {serial}"] == {"serial"}
    # A text given to a macro, and one in a loop.
    assert texts()["Nouveau mot de passe"] == set()
    assert "Remettre un carnet" in texts()


def test_the_facts_of_what_waits_are_found_where_they_are_given() -> None:
    assert todos()["ends_soon"] == {"n", "tranche", "day"}
    assert todos()["not_active"] == {"order"}
    assert form_codes()["field_too_long"] == {"field", "most"}


def test_every_kind_of_word_that_is_asked_for_is_enforced() -> None:
    assert {"role", "done", "verdict_text", "todo", "refused_title"} <= kinds_asked_for()
    assert kinds_asked_for() - kinds() == set()


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
    key = re.compile(rf"(?:{'|'.join(kinds())})\.\w+")
    assert [text for text in texts() if key.fullmatch(text)] == []


def test_both_languages_tell_the_same_facts() -> None:
    french, english = sentences("fr"), sentences("en")
    assert [key for key in keys() if holes(french[key]) != holes(english[key])] == []
    assert [text for text in texts() if holes(text) != holes(english[text])] == []


def test_a_text_tells_only_facts_that_the_code_gives() -> None:
    asked = {text: holes(text) - facts for text, facts in texts().items()}
    assert {text: lost for text, lost in asked.items() if lost} == {}


def test_a_refusal_tells_only_facts_that_it_holds() -> None:
    told = sentences("fr")
    lost = {}
    for code in {*refusals(), *scan_codes(), *http_codes(), *form_codes()}:
        known = []
        if code in refusals():
            named = [
                field.name.removesuffix("_cents") for field in fields(refusals()[code])
            ]
            known.append(set(named))
        if code in scan_codes() | http_codes():
            known.append(SCAN_FACTS.get(code, set()))
        if code in form_codes():
            known.append(form_codes()[code])
        if beyond := holes(told[f"refusal.{code}"]) - set.intersection(*known):
            lost[code] = beyond
    assert lost == {}


def test_the_page_of_a_pass_tells_only_what_anyone_may_know() -> None:
    told = sentences("fr")
    known = set(Look.__struct_fields__) - {"cents"}  # which the page shows in euros
    for state in State:
        assert holes(told[f"pass_text.{state.value}"]) <= known
        assert not holes(told[f"pass_title.{state.value}"])


def test_what_waits_tells_only_facts_that_it_is_given() -> None:
    told = sentences("fr")
    lost = {code: holes(told[f"todo.{code}"]) - facts for code, facts in todos().items()}
    assert {code: beyond for code, beyond in lost.items() if beyond} == {}


def test_a_good_verdict_tells_only_facts_that_it_brings() -> None:
    told = sentences("fr")
    for code in good_verdicts():
        assert holes(told[f"verdict_text.{code}"]) <= VERDICT_FACTS.get(code, set())


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_and_reasons_hold_no_facts(language: str) -> None:
    told = sentences(language)
    with_facts = ("refusal.", "pass_text.", "verdict_text.", "todo.")
    plain = [k for k in keys() if not k.startswith(with_facts)]
    assert [key for key in plain if holes(told[key])] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_no_is_a_whole_sentence_and_a_reason_is_a_part_of_one(language: str) -> None:
    told = sentences(language)
    whole = (
        "refusal.",
        "pass_text.",
        "site.",
        "mend.",
        "verdict_text.",
        "done.",
        "todo.",
        "fault.",
    )
    parts = ("reason.", "pass_title.", "verdict_title.", "refused_title.", "role.")
    assert [k for k in keys() if k.startswith(whole) and not told[k].endswith(".")] == []
    assert [k for k in keys() if k.startswith(parts) and told[k].endswith(".")] == []


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
    assert m.euros(10**17 + 1).endswith("000,01\xa0€"), "no cent is lost to a float"
    assert m.refusal("keys_locked", {"reason": "no_secret"}).startswith(
        "Les clés restent fermées\xa0: le secret manque."
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
