"""What a population needs, what covers it, and what to order: for the command and the page alike."""

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from app.messages import Messages
from app.spreadsheets import csv_text
from funding.operations import NotFound
from funding.queries import tranches_with_money_left
from issuance.needs import Sizing, Suggestion, rates, size, suggest
from redemption.communes import Commune
from redemption.coverage import CommuneNeed, Coverage, cover


class Needs(NamedTuple):
    """A population and what it needs; its communes where they were given, an order where a tranche was."""

    sizing: Sizing
    coverage: Coverage | None
    tranche: str | None
    order: Suggestion | None


def assess(
    session: Session,
    among: int | Sequence[Commune],
    *,
    tranche: str | None = None,
    people: int | None = None,
    each: int = 1,
    on: date,
) -> Needs:
    """Size a population, or that of some communes, and suggest an order for a tranche.

    The order is for `people`, all those to train unless told, `each` with so many carnets; the
    places counted are then those of the tranche's programme.  Refused with `not_found`.  Reads only.
    """
    left = {row.code: row for row in tranches_with_money_left(session)}
    if tranche is not None and tranche not in left:
        raise NotFound("tranche", tranche)
    chosen = left[tranche] if tranche is not None else None
    if isinstance(among, int):
        coverage, sizing = None, size(among)
    else:
        programme = None if chosen is None else chosen.programme
        coverage = cover(session, among, on=on, programme=programme)
        sizing = coverage.sizing
    order = None
    if chosen is not None:
        order = suggest(
            sizing.train if people is None else people,
            each=each,
            carnet_size=chosen.carnet_size,
            face_cents=chosen.face_cents,
            envelope_cents=chosen.envelope_cents,
            left_cents=chosen.left_cents,
        )
    return Needs(sizing, coverage, tranche, order)


def as_csv(needs: Needs) -> str:
    """Return one row per commune, or one for the whole where no communes were given."""
    if needs.coverage is None:
        return csv_text(Sizing._fields, [needs.sizing])
    return csv_text(CommuneNeed._fields, needs.coverage.communes)


def as_json(needs: Needs) -> dict[str, Any]:
    """Return plain values, with the rates they were made by."""
    by, told = rates(), {**needs.sizing._asdict(), "total": needs.sizing.total}
    told["rates"] = {"levels": by.levels, "per": by.per, "source": by.source}
    if (found := needs.coverage) is not None:
        told["coverage"] = {
            "communes": [c._asdict() for c in found.communes],
            "covered": found.covered,
            "people_covered": found.people_covered,
            "elsewhere": found.elsewhere,
        }
    if (order := needs.order) is not None:
        told["order"] = {
            "tranche": needs.tranche,
            **order._asdict(),
            "served": order.served,
        }
    return told


def as_text(needs: Needs, m: Messages) -> str:
    """Return the page that a manager reads."""
    s, by = needs.sizing, rates()
    out = [m.text("Population : {n}", n=m.count(s.population))]
    for level, count in (("assist", s.assist), ("train", s.train), ("boost", s.boost)):
        part = m.rate(by.levels[level], by.per)
        out.append(f"  {m.word('need', level)} ({part}) : {m.count(count)}")
    out.append(m.text("  Ensemble : {n}", n=m.count(s.total)))
    out.append(m.text("Taux : {source}", source=by.source))
    if needs.coverage is not None:
        out += ["", *_coverage_text(needs.coverage, m)]
    if needs.order is not None:
        out += ["", *order_sentences(needs.order, needs.tranche or "", m)]
    return "\n".join(out)


def _coverage_text(found: Coverage, m: Messages) -> list[str]:
    out = [*coverage_sentences(found, m), ""]
    for c in found.communes:
        places = m.text("lieux habilités : {n}", n=c.places)
        people = m.text("{n} habitants", n=m.count(c.population))
        train = m.text("à former : {n}", n=m.count(c.train))
        out.append(f"  {c.insee} {c.name} : {people}, {train}, {places}")
    return out


def coverage_sentences(found: Coverage, m: Messages) -> list[str]:
    """Say how many communes, and how many people, have a place."""
    told = [
        m.text(
            "Communes qui ont un lieu habilité : {covered} sur {all} ({rate}).",
            covered=m.count(found.covered),
            all=m.count(len(found.communes)),
            rate=m.rate(found.covered, len(found.communes)),
        ),
        m.text(
            "Habitants de ces communes : {covered} sur {all} ({rate}).",
            covered=m.count(found.people_covered),
            all=m.count(found.population),
            rate=m.rate(found.people_covered, found.population),
        ),
    ]
    if found.elsewhere:
        told.append(
            m.text(
                "Lieux habilités dans aucune commune de la liste : {names}.",
                names=", ".join(found.elsewhere),
            )
        )
    return told


def order_sentences(order: Suggestion, tranche: str, m: Messages) -> list[str]:
    """Say what to order, what it is worth, and what the tranche still pays for."""
    told = [
        m.text(
            "Pour {people} personnes, carnets par personne : {each}. Il faut {carnets} carnets, soit {passes} pass et {worth}.",
            people=m.count(order.people),
            each=order.each,
            carnets=m.count(order.carnets),
            passes=m.count(order.passes),
            worth=m.euros(order.cents),
        ),
        m.text(
            "C'est {rate} de l'enveloppe de la tranche {tranche} ({envelope}). Il y reste {left}.",
            rate=m.rate(order.cents, order.envelope_cents),
            tranche=tranche,
            envelope=m.euros(order.envelope_cents),
            left=m.euros(order.left_cents),
        ),
    ]
    if order.affordable < order.carnets:
        told.append(
            m.text(
                "Ce qui reste paie {carnets} carnets, pour {people} personnes.",
                carnets=m.count(order.affordable),
                people=m.count(order.served),
            )
        )
    return told
