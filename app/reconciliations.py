"""A reconciliation as people and machines read it: a page of text, a CSV file, JSON."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from app.messages import Messages
from app.spreadsheets import csv_text
from funding.queries import FunderPart
from redemption.reconciliation import CallPart, Reconciliation, of_call

# The file that programme managers exchange, one line per funder. A field that the journal does
# not know yet (fees, payments of funders) stays empty: empty is not zero.
CSV_TITLES = (
    "code_appel_a_projets",
    "code_convention",
    "code_tranche",
    "financeur",
    "taux_numerateur",
    "taux_denominateur",
    "base_calcul",
    "plafond_centimes",
    "nb_emis",
    "nb_actives",
    "nb_remis",
    "nb_utilises",
    "nb_expires",
    "nb_bloques",
    "valeur_utilisee_centimes",
    "frais_centimes",
    "depense_eligible_centimes",
    "part_financeur_centimes",
    "deja_verse_centimes",
    "reste_a_verser_centimes",
    "a_reverser_centimes",
    "date_arrete",
    "hash_journal",
)


def printed(
    found: Sequence[Reconciliation], call: str | None, form: str, messages: Messages
) -> str:
    """Return what is printed: a page of text, or the whole of a CSV or JSON file."""
    if form == "csv":
        return csv_text(CSV_TITLES, csv_rows(found))
    if form == "json":
        return json.dumps(as_json(found, call), ensure_ascii=False, indent=2) + "\n"
    return as_text(found, call, messages) + "\n"


def csv_rows(found: Sequence[Reconciliation]) -> list[tuple[Any, ...]]:
    """Return one row per tranche and funder, in the order of `CSV_TITLES`."""
    return [
        (
            t.call,
            part.convention,
            t.tranche,
            part.funder,
            part.weight,
            part.weights,
            part.basis,
            part.cap_cents,
            t.made,
            t.active,
            t.handed_out,
            t.used,
            t.line("lapsed").count,
            t.line("blocked").count,
            t.used_cents,
            None,
            t.used_cents,
            part.cents,
            None,
            None,
            None,
            t.happened_by.isoformat(),
            t.log_root,
        )
        for t in found
        for part in t.funders
    ]


def as_json(found: Sequence[Reconciliation], call: str | None) -> Any:  # noqa: ANN401 - it is JSON
    """Return plain values: the tranches, and their sum when a call was asked for."""
    tranches = msgspec.to_builtins(found)
    if call is None:
        return {"tranches": tranches}
    summed = msgspec.to_builtins(of_call(call, found))
    del summed["tranches"]
    return {"call": summed, "tranches": tranches}


def as_text(found: Sequence[Reconciliation], call: str | None, messages: Messages) -> str:
    """Return the page a manager reads: where every euro is, who it falls to, and the proof."""
    blocks = [_tranche_text(t, messages) for t in found]
    if call is not None:
        blocks.append(_call_text(call, found, messages))
    return "\n\n".join(blocks)


def _tranche_text(t: Reconciliation, m: Messages) -> str:
    out = [
        m.text(
            "Tranche {tranche} — appel à projets {call} — programme {programme}",
            tranche=t.tranche,
            call=t.call,
            programme=t.programme,
        ),
        m.text(
            "Arrêté au {day}, journal à {size} écritures",
            day=t.happened_by,
            size=t.log_size,
        )
        + (f" ({t.log_root[:16]}…)" if t.log_root else ""),
        "",
        _line(m.text("Enveloppe"), t.envelope_cents // t.face_cents, t.envelope_cents, m),
    ]
    out += [_line(f"  {m.word('state', e.state)}", e.count, e.cents, m) for e in t.lines]
    out += [
        "",
        m.text(
            "Fabriqués {made}, activés {active}, remis {given}, utilisés {used}",
            made=t.made,
            active=t.active,
            given=t.handed_out,
            used=t.used,
        ),
        "",
        m.text(
            "Part de chaque financeur dans les {used} utilisés", used_cents=t.used_cents
        ),
    ]
    for part in t.funders:
        rate = m.text("{weight} sur {weights}", weight=part.weight, weights=part.weights)
        out += [_funder(part, f", {rate}", m)]
    out += ["", m.text("Dû aux lieux")]
    out += [
        f"  {s.name[:44]:<46}{s.count:>8}{m.euros(s.due_cents + s.paid_cents):>20}"
        for s in t.sites
    ]
    apart = [
        (m.text("À récupérer"), m.euros(t.recoverable_cents)),
        (m.text("Litiges ouverts"), t.disputes_open),
        (m.text("Scans en attente de remise"), t.scans_waiting),
    ]
    if t.not_yet_logged is not None:
        apart.append((m.text("Écritures pas encore au journal"), t.not_yet_logged))
    out += ["", *[f"{name} : {value}" for name, value in apart]]
    out.append(
        m.text("Vérifié : les lignes égalent les mouvements du journal, au centime.")
    )
    return "\n".join(out)


def _call_text(call: str, found: Sequence[Reconciliation], m: Messages) -> str:
    total = of_call(call, found)
    if len(found) == 1:
        out = [m.text("Appel à projets {call}, une tranche", call=call)]
    else:
        out = [
            m.text("Appel à projets {call}, {count} tranches", call=call, count=len(found))
        ]
    out += [
        _line(f"  {m.word('state', e.state)}", e.count, e.cents, m) for e in total.lines
    ]
    out += [_funder(part, "", m) for part in total.funders]
    return "\n".join(out)


def _funder(part: FunderPart | CallPart, rate: str, m: Messages) -> str:
    name = f"  {part.convention} ({m.word('funder', part.funder)}{rate})"
    return f"{name:<56}{m.euros(part.cents):>20}"


def _line(name: str, count: int, cents: int, m: Messages) -> str:
    return f"{name:<46}{count:>10}{m.euros(cents):>20}"
