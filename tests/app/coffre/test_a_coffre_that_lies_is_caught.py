"""Whoever holds the key of the log may sign anything; the rules, replayed, still tell what cannot be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.coffre import verify
from ledger.identifiers import new_id
from ledger.notes import public_key
from tests.app.coffre.world import LOG, forged, packed, sealed, verified

Line = dict[str, Any]


def find(lines: list[Line], kind: str, nth: int = 0) -> int:
    return [n for n, line in enumerate(lines) if line["kind"] == kind][nth]


def again(line: Line) -> Line:
    """Return the same entry under another id."""
    name = str(new_id())
    return line | {"id": name, "act": name}


def spend_twice(lines: list[Line]) -> None:
    lines.append(
        again(lines[find(lines, "redeemed")]) | {"recorded": lines[-1]["recorded"]}
    )


def spend_after_an_undo_without_a_turn(lines: list[Line]) -> None:
    at = find(lines, "redeemed", 8)
    assert lines[at]["right"][2] == 1
    lines[at]["right"][2] = 0


def take_a_hand_out_away(lines: list[Line]) -> None:
    del lines[find(lines, "handed_out")]


def swap_a_hand_out_and_a_use(lines: list[Line]) -> None:
    a, b = find(lines, "handed_out"), find(lines, "redeemed")
    lines[a], lines[b] = lines[b], lines[a]


def undo_twice(lines: list[Line]) -> None:
    at = find(lines, "undone")
    lines.insert(at + 1, again(lines[at]))


def undo_another(lines: list[Line]) -> None:
    lines[find(lines, "undone")]["facts"]["undoes"] = lines[find(lines, "redeemed", 3)][
        "id"
    ]


def pay_more(lines: list[Line]) -> None:
    lines[find(lines, "redeemed")]["cents"] = 2000


def pay_another_site(lines: list[Line]) -> None:
    lines[find(lines, "redeemed")]["debit"] = "due/1/2"


def pay_from_elsewhere(lines: list[Line]) -> None:
    lines[find(lines, "redeemed")]["credit"] = "available/1"


def move_money_by_a_fact(lines: list[Line]) -> None:
    lines[find(lines, "desk_opened")] |= {
        "cents": 5,
        "credit": "stock/1",
        "debit": "circulating/1",
    }


def invent_a_kind_that_pays(lines: list[Line]) -> None:
    lines.append(again(lines[find(lines, "redeemed")]) | {"kind": "bonus", "right": None})


def use_the_id_of_another(lines: list[Line]) -> None:
    lines.append(lines[find(lines, "call_opened")])


def be_of_an_act_that_is_not_there(lines: list[Line]) -> None:
    del lines[find(lines, "carnet_blocked")]


def commit_more(lines: list[Line]) -> None:
    lines[find(lines, "committed")]["cents"] += 100


def order_beyond_the_envelope(lines: list[Line]) -> None:
    at = find(lines, "order_placed")
    lines[at]["facts"] |= {"carnets": 1000, "reserved_cents": 5_000_000}


def make_a_piece_twice(lines: list[Line]) -> None:
    at = find(lines, "vouchers_made")
    lines.insert(at + 1, again(lines[at]))


def make_other_serials(lines: list[Line]) -> None:
    lines[find(lines, "vouchers_made")]["facts"]["serials_sha256"] = "0" * 64


def hand_out_what_is_elsewhere(lines: list[Line]) -> None:
    del lines[find(lines, "delivered")]


def hand_out_too_late(lines: list[Line]) -> None:
    lines[find(lines, "tranche_opened")]["facts"]["calendar"]["hand_out_stop"] = (
        "2020-01-19"
    )


def use_on_a_day_without_workshop(lines: list[Line]) -> None:
    lines[find(lines, "redeemed")]["on"] = "2020-02-02"


def use_at_a_site_without_accreditation(lines: list[Line]) -> None:
    lines[find(lines, "accredited")]["facts"]["valid_from"] = "2020-02-04"


def use_after_the_tolerance(lines: list[Line]) -> None:
    lines[find(lines, "calendar_amended")]["facts"]["calendar"]["tolerance_until"] = (
        "2020-06-09"
    )


def use_received_too_late(lines: list[Line]) -> None:
    lines[find(lines, "calendar_amended")]["facts"]["calendar"]["present_by"] = "2020-06-09"


def use_during_a_suspension(lines: list[Line]) -> None:
    lines[find(lines, "programme_suspended")]["facts"]["ends_on"] = None


def use_outside_the_territory(lines: list[Line]) -> None:
    lines[find(lines, "tranche_opened")]["facts"]["territory"] = ["19"]


def happen_after_being_recorded(lines: list[Line]) -> None:
    lines[find(lines, "redeemed")]["at"] = "2020-02-04T10:00:00Z"


def be_of_tomorrow(lines: list[Line]) -> None:
    lines[find(lines, "call_opened")]["on"] = "2020-01-07"


def lapse_too_early(lines: list[Line]) -> None:
    lines[find(lines, "calendar_amended")]["facts"]["calendar"]["present_by"] = "2021-02-08"


def lapse_other_passes(lines: list[Line]) -> None:
    lines[find(lines, "lapsed")]["facts"]["count"] += 1


def lapse_twice(lines: list[Line]) -> None:
    lines.append(again(lines[find(lines, "lapsed")]))


def block_a_pass_that_was_used(lines: list[Line]) -> None:
    at = find(lines, "blocked")
    lines[at]["facts"]["serial"] = lines[at]["right"][1] = lines[find(lines, "redeemed")][
        "facts"
    ]["serial"]


def replace_the_passes_of_someone_else(lines: list[Line]) -> None:
    other = lines[find(lines, "handed_out", 1)]["id"]
    lines[find(lines, "hand_out_replaced")]["facts"]["hand_out"] = other


def replace_a_pass_that_was_used(lines: list[Line]) -> None:
    used = lines[find(lines, "redeemed")]["facts"]["serial"]
    lines[find(lines, "hand_out_replaced")]["facts"]["replaces"] = [used]


def replace_one_pass_by_two(lines: list[Line]) -> None:
    lines[find(lines, "hand_out_replaced")]["facts"]["carnet_size"] = 2


def replace_it_by_one_of_greater_worth(lines: list[Line]) -> None:
    lines[find(lines, "hand_out_replaced")]["facts"]["face_cents"] = 2000


def replace_it_twice(lines: list[Line]) -> None:
    at = find(lines, "hand_out_replaced")
    lines.insert(at + 1, again(lines[at]))


def replace_it_by_another_than_was_told(lines: list[Line]) -> None:
    lines[find(lines, "replaced")]["facts"]["replaced_by"] = "23-000001-1"


def replace_it_without_ending_it(lines: list[Line]) -> None:
    del lines[find(lines, "replaced", 1)]


def replace_it_when_workshops_are_over(lines: list[Line]) -> None:
    lines[find(lines, "calendar_amended")]["facts"]["calendar"]["tolerance_until"] = (
        "2020-11-08"
    )


def use_a_pass_that_was_replaced(lines: list[Line]) -> None:
    old = lines[find(lines, "replaced")]["facts"]["serial"]
    use = again(lines[find(lines, "redeemed")]) | {"recorded": lines[-1]["recorded"]}
    use |= {"facts": use["facts"] | {"serial": old}, "right": ["spend", old, 0]}
    lines.append(use)


def print_carnets_of_another_order(lines: list[Line]) -> None:
    lines[find(lines, "print_batch_made", 1)]["facts"]["last_carnet"] = 9


def print_carnets_before_they_are_made(lines: list[Line]) -> None:
    early = lines.pop(find(lines, "print_batch_made"))
    lines.insert(find(lines, "vouchers_made"), early)


def leave_a_print_batch_out(lines: list[Line]) -> None:
    del lines[find(lines, "print_batch_made")]


def number_a_print_batch_otherwise(lines: list[Line]) -> None:
    lines[find(lines, "print_batch_made", 1)]["facts"]["batch"] = 3


def print_a_batch_twice(lines: list[Line]) -> None:
    at = find(lines, "print_batch_made")
    lines.insert(at + 1, again(lines[at]))


def late_hand_out(lines: list[Line]) -> Line:
    [found] = [line for line in lines if line["facts"].get("recorded_late")]
    return found


def hide_that_a_hand_out_was_late(lines: list[Line]) -> None:
    del late_hand_out(lines)["facts"]["recorded_late"]


def record_a_hand_out_later_than_its_tranche_allows(lines: list[Line]) -> None:
    late_hand_out(lines)["on"] = "2020-01-24"


def say_late_of_a_hand_out_of_the_day(lines: list[Line]) -> None:
    lines[find(lines, "handed_out")]["facts"]["recorded_late"] = True


def date_a_hand_out_before_its_order_was_active(lines: list[Line]) -> None:
    found = late_hand_out(lines)
    [active] = [
        line
        for line in lines
        if (line["kind"], line["facts"].get("order"))
        == ("order_activated", found["facts"]["order"])
    ]
    active["at"] = active["recorded"] = found["recorded"]
    active["on"] = found["recorded"][:10]


def hand_out_what_was_taken_over(lines: list[Line], day: str) -> None:
    """A hand-out of carnets taken over on the 10th is said to be of another day, and written late."""
    found = next(
        line
        for line in lines
        if (line["kind"], line["facts"].get("order")) == ("handed_out", 7)
    )
    found["on"], found["facts"]["recorded_late"] = day, True


def date_a_hand_out_before_its_carnets_were_taken_over(lines: list[Line]) -> None:
    hand_out_what_was_taken_over(lines, "2020-11-09")


def set_aside_a_limit_that_is_not_there(lines: list[Line]) -> None:
    lines[find(lines, "handed_out")]["facts"]["despite_limit"] = "decided"


def hand_out_at_a_site_that_is_not_there(lines: list[Line]) -> None:
    lines[find(lines, "handed_out")]["facts"]["at_site"] = 99


def hand_out_at_the_site_of_others(lines: list[Line]) -> None:
    lines[find(lines, "handed_out")]["facts"]["at_site"] = 1


def hand_out_other_carnets(lines: list[Line]) -> None:
    lines[find(lines, "handed_out")]["facts"]["carnets"] = [1, 2]


def hand_out_to_half_a_public(lines: list[Line]) -> None:
    lines[find(lines, "handed_out")]["facts"]["pic"] = 1


def hand_out_on_a_proof_of_no_kind(lines: list[Line]) -> None:
    lines[find(lines, "handed_out")]["facts"]["proof"] = "rumour"


def attest_more_than_was_given(lines: list[Line]) -> None:
    lines[find(lines, "attestation_filed")]["facts"]["hand_outs"] += 1


def attest_other_hand_outs(lines: list[Line]) -> None:
    lines[find(lines, "attestation_filed")]["facts"]["hand_outs_sha256"] = "00" * 32


def attest_for_another_desk(lines: list[Line]) -> None:
    opened, filed = find(lines, "desk_opened"), find(lines, "attestation_filed")
    other = again(lines[opened]) | {"facts": lines[opened]["facts"] | {"code": "AUTRE"}}
    lines.insert(opened + 1, other)
    lines[filed + 1]["facts"]["desk"] = "AUTRE"


def attest_twice(lines: list[Line]) -> None:
    at = find(lines, "attestation_filed")
    other = again(lines[at]) | {"right": ["attest", "88" * 32, 0]}
    other["facts"] = other["facts"] | {"sha256": "88" * 32}
    lines.insert(at + 1, other)


def attest_with_the_same_paper(lines: list[Line]) -> None:
    at = find(lines, "attestation_filed")
    lines.insert(at + 1, again(lines[at]))


def attest_what_the_desk_saw_for_itself(lines: list[Line]) -> None:
    lines[find(lines, "handed_out")]["facts"]["proof"] = "document_seen"


def take_over_more_than_was_set_aside(lines: list[Line]) -> None:
    lines[find(lines, "order_taken_over")]["facts"]["reserved_cents"] = 500


def take_over_beyond_the_envelope(lines: list[Line]) -> None:
    lines[:] = [e for e in lines if e["kind"] not in ("misprints_voided", "voided")]
    lines[find(lines, "tranche_opened")]["facts"]["envelope_cents"] = 44_000


def take_over_at_another_value(lines: list[Line]) -> None:
    lines[find(lines, "order_taken_over")]["facts"]["face_cents"] = 2_000


def take_over_for_another_sum(lines: list[Line]) -> None:
    lines[find(lines, "order_taken_over", 1)]["cents"] += 1_000


def take_over_other_passes(lines: list[Line]) -> None:
    lines[find(lines, "order_taken_over", 1)]["facts"]["serials_sha256"] = "00" * 32


def take_over_paper_that_outlasts_the_tranche(lines: list[Line]) -> None:
    lines[find(lines, "order_taken_over")]["facts"]["use_by"] = "2021-01-01"


def take_over_paper_that_is_past(lines: list[Line]) -> None:
    lines[find(lines, "order_taken_over")]["facts"]["use_by"] = "2020-11-09"


def take_over_without_an_engagement(lines: list[Line]) -> None:
    lines[find(lines, "order_taken_over")]["facts"]["commitment_number"] = ""


def take_over_by_a_mandat_without_being_asked(lines: list[Line]) -> None:
    lines[find(lines, "order_taken_over")]["facts"]["basis"] = "mandat"


def take_over_carnets_of_another_order(lines: list[Line]) -> None:
    lines[find(lines, "order_taken_over", 1)]["facts"]["first_carnet"] = 16


def activate_what_was_taken_over(lines: list[Line]) -> None:
    again_ = again(lines[find(lines, "order_activated")])
    again_["facts"] = again_["facts"] | {"order": 7}
    again_ |= {"right": ["activate", "order/7", 0], "recorded": lines[-1]["recorded"]}
    lines.append(again_ | {"at": again_["recorded"], "on": lines[-1]["on"]})


def print_what_was_taken_over(lines: list[Line]) -> None:
    batch = again(lines[find(lines, "print_batch_made")])
    told = {"order": 7, "first_carnet": 17, "last_carnet": 18}
    batch |= {"facts": batch["facts"] | told, "right": ["print", "order/7", 0]}
    last = {name: lines[-1][name] for name in ("at", "on", "recorded")}
    lines.append(batch | last)


def hand_out_what_is_on_the_way(lines: list[Line]) -> None:
    early = lines.pop(find(lines, "transfer_sent"))
    early |= {
        "at": "2020-01-07T10:00:00Z",
        "recorded": "2020-01-07T10:00:00Z",
        "on": "2020-01-07",
    }
    early["facts"] |= {"to": None, "carnets": [[1, 6]], "count": 6}
    lines.insert(find(lines, "handed_out"), early)


def send_what_is_elsewhere(lines: list[Line]) -> None:
    lines[find(lines, "transfer_sent")]["facts"]["from"] = None


def send_what_is_used_up(lines: list[Line]) -> None:
    lines[find(lines, "transfer_sent")]["facts"] |= {"carnets": [[1, 6]], "count": 6}


def send_it_twice(lines: list[Line]) -> None:
    at = find(lines, "transfer_sent")
    lines.insert(at + 1, again(lines[at]))


def send_to_a_desk_that_is_not_there(lines: list[Line]) -> None:
    lines[find(lines, "transfer_sent")]["facts"]["to"] = "NOPE"


def receive_what_nobody_sent(lines: list[Line]) -> None:
    del lines[find(lines, "transfer_sent")]


def receive_more_than_was_sent(lines: list[Line]) -> None:
    lines[find(lines, "transfer_received")]["facts"] |= {
        "carnets": [[4, 5], [7, 7]],
        "count": 3,
    }


def receive_it_at_another_desk(lines: list[Line]) -> None:
    lines[find(lines, "transfer_received", 1)]["facts"]["at"] = "CAF"


def hide_what_is_missing(lines: list[Line]) -> None:
    lines[find(lines, "transfer_received")]["facts"]["missing"] = []


def receive_in_no_order(lines: list[Line]) -> None:
    lines[find(lines, "transfer_received")]["facts"]["carnets"] = [[5, 5], [4, 4]]


def leave_a_receipt_out(lines: list[Line]) -> None:
    del lines[find(lines, "transfer_received")]


def bring_elsewhere_what_is_on_the_way(lines: list[Line]) -> None:
    brought = again(lines[find(lines, "delivered")])
    brought["facts"] = brought["facts"] | {"first_carnet": 4, "last_carnet": 4, "count": 1}
    at = find(lines, "transfer_sent")
    brought |= {key: lines[at][key] for key in ("at", "on", "recorded")}
    lines.insert(at + 1, brought)


def count_what_is_not_there(lines: list[Line]) -> None:
    facts = lines[find(lines, "stock_counted")]["facts"]
    facts |= {"expected_carnets": [[6, 8]], "expected": 3, "missing": [[7, 7]]}


def hide_a_gap(lines: list[Line]) -> None:
    lines[find(lines, "stock_counted")]["facts"]["unexpected"] = []


def count_otherwise_than_it_adds_up(lines: list[Line]) -> None:
    lines[find(lines, "stock_counted", 1)]["facts"]["counted"] += 1


def leave_a_count_out(lines: list[Line]) -> None:
    del lines[find(lines, "stock_counted")]


def void_what_was_handed_out(lines: list[Line]) -> None:
    lines[find(lines, "misprints_voided")]["facts"] |= {"first_carnet": 1, "last_carnet": 1}


def void_what_was_handed_out_first(lines: list[Line]) -> None:
    """Each entry is of one pass that somebody has."""
    serial = lines[find(lines, "handed_out")]["facts"]["serials"][0]
    at = find(lines, "voided")
    lines[at]["facts"]["serial"] = lines[at]["right"][1] = serial


def release_more_than_was_voided(lines: list[Line]) -> None:
    lines[find(lines, "misprints_voided")]["facts"]["released_cents"] += 1000


def void_it_in_part(lines: list[Line]) -> None:
    del lines[find(lines, "voided", 2)]


def void_it_twice(lines: list[Line]) -> None:
    at = find(lines, "misprints_voided")
    lines.insert(at + 1, again(lines[at]))


def use_a_pass_that_was_voided(lines: list[Line]) -> None:
    old = lines[find(lines, "voided")]["facts"]["serial"]
    use = again(lines[find(lines, "redeemed")]) | {"recorded": lines[-1]["recorded"]}
    use |= {"facts": use["facts"] | {"serial": old}, "right": ["spend", old, 1]}
    lines.append(use)


def print_before_the_proof_is_approved(lines: list[Line]) -> None:
    del lines[find(lines, "proof_approved")]


def print_otherwise_than_was_approved(lines: list[Line]) -> None:
    lines[find(lines, "print_batch_made", 1)]["facts"]["template_sha256"] = "12" * 32


def print_other_logos_than_were_approved(lines: list[Line]) -> None:
    lines[find(lines, "print_batch_made")]["facts"]["logos"] = ["44" * 32]


def approve_the_proof_of_specimens(lines: list[Line]) -> None:
    at = find(lines, "proof_approved")
    lines[at]["facts"]["order"], lines[at]["right"][1] = 3, "order/3/pdf"


def approve_the_proof_of_what_was_taken_over(lines: list[Line]) -> None:
    approved = again(lines[find(lines, "proof_approved")])
    approved["facts"] = approved["facts"] | {"order": 7}
    approved["right"] = ["approve_proof", "order/7/pdf", 0]
    lines.append(approved | {name: lines[-1][name] for name in ("at", "on", "recorded")})


def approve_twice_in_one_turn(lines: list[Line]) -> None:
    at = find(lines, "proof_approved")
    lines.insert(at + 1, again(lines[at]))


def activate_by_a_mandat_without_being_asked(lines: list[Line]) -> None:
    lines[find(lines, "order_activated")]["facts"]["basis"] = "mandat"


def ask_for_a_mandat_afterwards(lines: list[Line]) -> None:
    lines[find(lines, "tranche_opened")]["facts"]["activated_on"] = "mandat"


def give_back_more_than_was_set_aside(lines: list[Line]) -> None:
    lines[find(lines, "order_cancelled")]["facts"]["released_cents"] += 1000


def cancel_an_order_that_is_made(lines: list[Line]) -> None:
    at = find(lines, "order_cancelled")
    lines[at]["facts"]["order"], lines[at]["right"][1] = 2, "order/2"


def make_an_order_after_it_was_cancelled(lines: list[Line]) -> None:
    made = again(lines[find(lines, "vouchers_made", 1)])
    order = lines[find(lines, "order_placed", 3)]["facts"]
    assert order["order"] == 8
    first = order["first_carnet"]
    made["facts"] = made["facts"] | {
        "order": 8, "count": 10, "first_carnet": first, "last_carnet": first + 1,
    }  # fmt: skip
    made |= {"right": ["make", "order/8/0", 0], "on": lines[-1]["on"]}
    made |= {name: lines[-1][name] for name in ("at", "recorded")}
    lines.append(made)


def add_a_field(lines: list[Line]) -> None:
    lines[3]["note"] = "hello"


def give_two_funders_of_europe(lines: list[Line]) -> None:
    lines[find(lines, "convention_signed", 1)]["facts"]["funder"] = "EU_OTHER"


def take_up_the_scan_of_another_pass(lines: list[Line]) -> None:
    at = find(lines, "kept")
    lines[at]["facts"]["serial"] = "23-000009-2"


LIES: dict[Callable[[list[Line]], None], str] = {
    spend_twice: "déjà pris par l'écriture n°",
    spend_after_an_undo_without_a_turn: "consomme le droit",
    take_a_hand_out_away: "n'était pas en circulation",
    swap_a_hand_out_and_a_use: "n'était pas en circulation",
    undo_twice: "annule une utilisation qui n'est pas celle",
    undo_another: "annule une utilisation qui n'est pas celle",
    pay_more: "déplace",
    pay_another_site: "déplace",
    pay_from_elsewhere: "déplace",
    move_money_by_a_fact: "déplace",
    invent_a_kind_that_pays: "déplace",
    use_the_id_of_another: "a l'identifiant de l'écriture n°",
    be_of_an_act_that_is_not_there: "dont la première écriture manque",
    commit_more: "déplace",
    order_beyond_the_envelope: "plus que l'enveloppe",
    make_a_piece_twice: "une seconde fois",
    make_other_serials: "ne porte pas sur les",
    print_before_the_proof_is_approved: "autrement que sur la dernière épreuve approuvée",
    print_otherwise_than_was_approved: "autrement que sur la dernière épreuve approuvée",
    print_other_logos_than_were_approved: "autrement que sur la dernière épreuve approuvée",
    approve_the_proof_of_specimens: "une épreuve dont personne n'a besoin",
    approve_the_proof_of_what_was_taken_over: "une épreuve dont personne n'a besoin",
    approve_twice_in_one_turn: "consomme un droit que l'écriture n°",
    activate_by_a_mandat_without_being_asked: "par autre chose que ce que demande sa tranche",
    ask_for_a_mandat_afterwards: "par autre chose que ce que demande sa tranche",
    give_back_more_than_was_set_aside: "annule autre chose que ce qui restait",
    cancel_an_order_that_is_made: "annule autre chose que ce qui restait",
    make_an_order_after_it_was_cancelled: "fabrique des pass d'une commande annulée",
    print_carnets_of_another_order: "imprime des carnets d'une autre commande",
    print_carnets_before_they_are_made: "pas encore fabriqués",
    leave_a_print_batch_out: "consomme un droit sans celui qui doit venir avant",
    number_a_print_batch_otherwise: "consomme le droit",
    print_a_batch_twice: "consomme un droit que l'écriture n°",
    hand_out_what_is_elsewhere: "dans ce guichet",
    hand_out_too_late: "après le dernier jour de remise",
    hide_that_a_hand_out_was_late: "porte le jour 2020-01-31",
    record_a_hand_out_later_than_its_tranche_allows: "hors des jours admis",
    say_late_of_a_hand_out_of_the_day: "hors des jours admis",
    date_a_hand_out_before_its_order_was_active: "hors des jours admis",
    date_a_hand_out_before_its_carnets_were_taken_over: "hors des jours admis",
    set_aside_a_limit_that_is_not_there: "une limite par personne qui n'existe pas",
    hand_out_at_the_site_of_others: "au lieu 1, qui n'est pas de l'organisme du guichet",
    hand_out_other_carnets: "sans dire les bons carnets",
    hand_out_to_half_a_public: "sans dire les bons carnets",
    hand_out_on_a_proof_of_no_kind: "sans dire les bons carnets",
    attest_more_than_was_given: "atteste d'autres remises",
    attest_other_hand_outs: "atteste d'autres remises",
    attest_for_another_desk: "atteste d'autres remises",
    attest_twice: "atteste d'autres remises",
    attest_with_the_same_paper: "atteste d'autres remises",
    attest_what_the_desk_saw_for_itself: "atteste d'autres remises",
    hand_out_at_a_site_that_is_not_there: "que le journal ne connaît pas encore",
    use_on_a_day_without_workshop: "n'est pas d'un atelier",
    use_at_a_site_without_accreditation: "non habilité",
    use_after_the_tolerance: "après la tolérance",
    use_received_too_late: "délai de présentation",
    use_during_a_suspension: "pendant une suspension",
    use_outside_the_territory: "hors du territoire",
    happen_after_being_recorded: "après avoir été enregistrée",
    be_of_tomorrow: "porte le jour",
    lapse_too_early: "avant la fin du délai de présentation",
    lapse_other_passes: "ne porte pas sur les",
    take_up_the_scan_of_another_pass: "reprend un scan en attente",
    lapse_twice: "périme ce qui l'est déjà",
    block_a_pass_that_was_used: "n'est plus à bloquer",
    replace_the_passes_of_someone_else: "n'est pas un pass non utilisé de cette remise",
    replace_a_pass_that_was_used: "n'est pas un pass non utilisé de cette remise",
    replace_one_pass_by_two: "autre chose que ce que la tranche permet",
    replace_it_by_one_of_greater_worth: "autre chose que ce que la tranche permet",
    replace_it_twice: "n'est pas un pass non utilisé de cette remise",
    replace_it_by_another_than_was_told: "ou pas par celui-là",
    replace_it_without_ending_it: "et rien ne le met hors d'usage",
    replace_it_when_workshops_are_over: "n'a plus de jour d'atelier",
    use_a_pass_that_was_replaced: "déjà pris par l'écriture n°",
    take_over_more_than_was_set_aside: "autre chose que ce que la tranche permet",
    take_over_beyond_the_envelope: "plus que l'enveloppe",
    take_over_at_another_value: "autre chose que ce que la tranche permet",
    take_over_for_another_sum: "déplace",
    take_over_other_passes: "ne porte pas sur les",
    take_over_paper_that_outlasts_the_tranche: "ou après celle de la tranche",
    take_over_paper_that_is_past: "est passée",
    take_over_without_an_engagement: "autre chose que ce que la tranche permet",
    take_over_by_a_mandat_without_being_asked: "par autre chose que ce que demande sa tranche",
    take_over_carnets_of_another_order: "numérote des carnets qui existent",
    activate_what_was_taken_over: "consomme un droit que l'écriture n°",
    print_what_was_taken_over: "repris à un ancien opérateur",
    hand_out_what_is_on_the_way: "dans ce guichet",
    send_what_is_elsewhere: "envoie des carnets qui ne sont pas là",
    send_what_is_used_up: "envoie des carnets qui ne sont pas là",
    send_it_twice: "envoie des carnets qui ne sont pas là",
    send_to_a_desk_that_is_not_there: "NOPE",
    receive_what_nobody_sent: "que le journal ne connaît pas",
    receive_more_than_was_sent: "que le journal ne connaît pas",
    receive_it_at_another_desk: "reçoit autre chose",
    hide_what_is_missing: "reçoit autre chose",
    receive_in_no_order: "qui ne se suivent pas",
    leave_a_receipt_out: "un droit sans celui qui doit venir avant",
    bring_elsewhere_what_is_on_the_way: "livre des carnets qui sont en chemin",
    count_what_is_not_there: "compte un stock qui n'est pas celui du journal",
    hide_a_gap: "compte un stock qui n'est pas celui du journal",
    count_otherwise_than_it_adds_up: "compte un stock qui n'est pas celui du journal",
    leave_a_count_out: "un droit sans celui qui doit venir avant",
    void_what_was_handed_out: "annule des carnets qui ne sont pas entiers en stock",
    void_what_was_handed_out_first: "annule des carnets qui ne sont pas entiers en stock",
    release_more_than_was_voided: "annule des carnets qui ne sont pas entiers en stock",
    void_it_in_part: "et rien ne le met hors d'usage",
    void_it_twice: "annule des carnets qui ne sont pas entiers en stock",
    use_a_pass_that_was_voided: "déjà pris par l'écriture n°",
    add_a_field: "n'a pas les champs attendus",
    give_two_funders_of_europe: "ne peuvent pas se partager",
}


def lie(coffres, tmp_path: Path, change: Callable[[list[Line]], None]) -> Path:
    lines = [json.loads(line) for line in coffres.lines()]
    change(lines)
    return packed(
        tmp_path / "coffre.zip",
        forged(coffres.files(), [verify.canonical(line) for line in lines], coffres.key),
    )


def test_a_forger_who_changes_nothing_forges_well(coffres, tmp_path):
    told = verified(lie(coffres, tmp_path, lambda _lines: None))
    assert told.code == 0, told


@pytest.mark.parametrize("change", LIES, ids=lambda change: change.__name__)
def test_a_rule_that_was_broken_is_told_with_its_entry(coffres, tmp_path, change):
    told = verified(lie(coffres, tmp_path, change))
    assert told.code == 1
    assert LIES[change] in told.out, told.out[:1500]
    assert "✗ L'écriture n° " in told.out


@pytest.mark.parametrize(("day", "good"), [("2020-11-09", True), ("2020-11-08", False)])
def test_where_no_time_zone_is_known_a_day_more_is_forgiven_to_what_was_taken_over(
    coffres, tmp_path, monkeypatch, day, good
):
    monkeypatch.setattr(verify, "time_zone", lambda _name: None)
    told = verified(
        lie(coffres, tmp_path, lambda lines: hand_out_what_was_taken_over(lines, day))
    )
    assert ("✗ L'écriture n° " not in told.out) is good, told.out[:1500]
    assert ("hors des jours admis" in told.out) is not good


def test_a_body_that_could_be_written_otherwise_is_refused(coffres, tmp_path):
    lines = coffres.lines()
    lines[3] = lines[3].replace(b'":', b'": ', 1)
    told = verified(
        packed(tmp_path / "coffre.zip", forged(coffres.files(), lines, coffres.key))
    )
    assert "JSON canonique" in told.out


def test_a_key_told_twice_is_refused(coffres, tmp_path):
    lines = coffres.lines()
    lines[3] = lines[3].replace(b'"cents":0', b'"cents":0,"cents":0', 1)
    told = verified(
        packed(tmp_path / "coffre.zip", forged(coffres.files(), lines, coffres.key))
    )
    assert "JSON canonique" in told.out


FIGURES: dict[str, tuple[str, Callable[[Any], None]]] = {
    "a balance": ("figures/balances.json", lambda f: f["due/1/1"].__setitem__(0, 1)),
    "a balance that is left out": ("figures/balances.json", lambda f: f.pop("due/1/1")),
    "a part": ("figures/splits.json", lambda f: f["segments"][0]["parts"].__setitem__(0, 1)),
    "the cents of a segment": ("figures/splits.json", lambda f: f["segments"][0].__setitem__("cents", 1)),
    "what a cap holds": ("figures/splits.json", lambda f: f["capped"][0].__setitem__("cents", 1)),
    "a segment that is left out": ("figures/splits.json", lambda f: f["segments"].pop()),
    "what was used": ("figures/claims.json", lambda f: f["tranches"][0].__setitem__("used_cents", 7)),
    "what a funder owes": ("figures/claims.json", lambda f: f["tranches"][0]["funders"][0].__setitem__("cents", 7)),
    "what a site is due": ("figures/claims.json", lambda f: f["tranches"][0]["sites"][0].__setitem__("due_cents", 7)),
    "what lapsed": ("figures/claims.json", lambda f: f["tranches"][0]["lines"][5].__setitem__("cents", 7)),
    "the sum of a call": ("figures/claims.json", lambda f: f["calls"][0].__setitem__("used_cents", 7)),
}  # fmt: skip


@pytest.mark.parametrize("what", FIGURES)
def test_a_figure_that_the_journal_does_not_give_is_told(coffres, tmp_path, what):
    name, change = FIGURES[what]
    files = coffres.files()
    told = json.loads(files[name])
    change(told)
    found = verified(
        packed(tmp_path / "coffre.zip", sealed(files | {name: verify.canonical(told)}))
    )
    assert found.code == 1
    assert f"{name}/" in found.out
    assert "le journal donne" in found.out


@pytest.mark.parametrize(
    "name", ["sites", "orders", "prescribers", "tranches", "serials", "accreditations"]
)
def test_a_reference_that_the_journal_does_not_give_is_told(coffres, tmp_path, name):
    files = coffres.files()
    file = f"reference/{name}.jsonl"
    changed = files[file].replace(b'"on":"2020', b'"on":"2019', 1)
    assert changed != files[file]
    told = verified(packed(tmp_path / "coffre.zip", sealed(files | {file: changed})))
    assert told.code == 1
    assert f"La ligne 1 de {file}" in told.out


def test_keys_and_policy_that_the_journal_does_not_name_are_told(coffres, tmp_path):
    files = coffres.files()
    other = "log " + another_key().decode() + "\n"
    for changed in (
        {"keys.txt": another_key() + b"\n", "policy.txt": files["policy.txt"]},
        {
            "policy.txt": other.encode() + files["policy.txt"],
            "keys.txt": another_key() + b"\n",
        },
    ):
        told = verified(packed(tmp_path / "coffre.zip", sealed(files | changed)))
        assert told.code == 1, told


def another_key() -> bytes:
    return public_key(LOG, Ed25519PrivateKey.generate()).vkey.encode()


def of_the_organisation_of_the_site(lines: list[Line]) -> None:
    siret = lines[find(lines, "site_kept")]["facts"]["details"]["pivot"]
    lines[find(lines, "desk_opened")]["facts"]["siret"] = siret


def of_a_tranche_that_lets_any_desk(lines: list[Line]) -> None:
    lines[find(lines, "tranche_opened")]["facts"]["hand_out"]["at_sites"] = True


@pytest.mark.parametrize(
    "made", [of_the_organisation_of_the_site, of_a_tranche_that_lets_any_desk]
)
def test_a_hand_out_at_a_site_where_it_is_allowed_is_not_doubted(coffres, tmp_path, made):
    def at_the_site(lines: list[Line]) -> None:
        made(lines)
        hand_out_at_the_site_of_others(lines)

    told = verified(lie(coffres, tmp_path, at_the_site))
    assert "✗ L'écriture n° " not in told.out


@pytest.mark.parametrize(
    ("at", "refused"), [("2020-06-10T12:55:00Z", False), ("2020-06-10T12:45:00Z", True)]
)
def test_a_rule_that_was_replaced_a_moment_before_is_forgiven(
    coffres, tmp_path, at, refused
):
    """A scan under way when the calendar was amended was judged by the calendar before."""

    def amend_while_scanning(lines: list[Line]) -> None:
        amended = lines[find(lines, "calendar_amended")]
        amended |= {"at": at, "recorded": at, "on": "2020-06-10"}
        amended["facts"]["calendar"]["tolerance_until"] = "2020-06-09"
        amended["facts"]["calendar"] |= {
            "hand_out_stop": "2020-06-09",
            "use_by": "2020-06-09",
        }

    told = verified(lie(coffres, tmp_path, amend_while_scanning))
    assert ("après la tolérance" in told.out) is refused


@pytest.mark.parametrize("approved", [False, True])
def test_what_was_printed_before_there_were_proofs_is_believed(coffres, tmp_path, approved):
    """A tranche that tells no basis is older than proofs; once one is approved, it binds."""

    def be_older(lines: list[Line]) -> None:
        for line in lines:
            if line["kind"] == "tranche_opened":
                del line["facts"]["activated_on"]
        if not approved:
            del lines[find(lines, "proof_approved")]
        print_otherwise_than_was_approved(lines)

    told = verified(lie(coffres, tmp_path, be_older))
    unapproved = "autrement que sur la dernière épreuve approuvée"
    assert (unapproved in told.out) is approved, told.out[:1500]
    assert ("✗ L'écriture n° " in told.out) is approved
