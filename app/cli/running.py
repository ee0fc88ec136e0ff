"""Commands that run: the server, the sequencer, the jobs, the demonstration."""

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import click

from app import jobs, sequencing, serve
from app.cli.frame import MESSAGES, _, with_instance
from app.demo import demonstration
from app.instance import Instance
from app.proofs import publisher
from app.works.doing import do_all
from app.works.kinds import KINDS

_address = click.option("--address", default="127.0.0.1", show_default=True)
_port = click.option(
    "--port", type=click.IntRange(0, 65_535), default=8000, show_default=True
)


@click.command(
    "serve", help=_("Sert les pages et l'API ; avec SQLite, fait tourner le reste aussi.")
)
@_address
@_port
@click.option(
    "--sequencer/--no-sequencer", default=True, help=_("Fait tourner le séquenceur ici.")
)
@click.option(
    "--jobs/--no-jobs", "with_jobs", default=True, help=_("Fait tourner les tâches ici.")
)
@with_instance
def serve_(
    instance: Instance, address: str, port: int, sequencer: bool, with_jobs: bool
) -> None:
    """Serve until interrupted."""
    serve.run(
        instance,
        address=address,
        port=port,
        sequencer=sequencer,
        jobs=jobs.run_until if with_jobs else None,
        ready=lambda: _listening(address, port),
    )


def _listening(address: str, port: int) -> None:
    told = _(
        "Le serveur écoute sur http://{address}:{port} ; Ctrl-C l'arrête.",
        address=address,
        port=port,
    )
    click.echo(told)


def _until_signal(
    work: Callable[[Instance, threading.Event], None], instance: Instance
) -> None:
    stop = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda _signal, _frame: stop.set())
    work(instance, stop)


@click.command(
    "sequencer",
    help=_("Donne leur place au journal aux écritures, et le publie, jusqu'à Ctrl-C."),
)
@with_instance
def sequencer(instance: Instance) -> None:
    """Sequence and publish until interrupted."""

    def work(instance: Instance, stop: threading.Event) -> None:
        showing = threading.Thread(target=publisher.run_until, args=(instance, stop))
        showing.start()
        try:
            sequencing.run_until(instance, stop)
        finally:
            stop.set()
            showing.join()

    _until_signal(work, instance)


@click.command("jobs", help=_("Fait tourner les tâches de nuit, jusqu'à Ctrl-C."))
@click.option("--once", is_flag=True, help=_("Fait celles du jour, et s'arrête."))
@with_instance
def jobs_(instance: Instance, once: bool) -> None:
    """Run the jobs until interrupted, or once."""
    if not once:
        _until_signal(jobs.run_until, instance)
        return
    do_all(instance, KINDS)
    failed = False
    for tenant in instance.database.working_departements():
        for job, done in jobs.run_all(instance, tenant).items():
            failed |= done == jobs.FAILED
            click.echo(f"{tenant.code} {job} : {_told(done)}")
    if failed:
        sys.exit(1)


def _told(done: int | str | None) -> str:
    if done == jobs.FAILED:
        return _("échec ; relancez, ce qui est fait ne sera pas refait")
    return _("déjà faite aujourd'hui") if done is None else _("{count} fait", count=done)


@click.command(
    "demo", help=_("La démonstration : la Creuse, de l'appel à projets aux centimes.")
)
@click.option("--no-serve", is_flag=True, help=_("Rapproche et s'arrête, sans servir."))
@click.option(
    "--data-dir", type=click.Path(file_okay=False, path_type=Path), default="var/demo"
)
@_address
@_port
def demo(no_serve: bool, data_dir: Path, address: str, port: int) -> None:
    """Make the demonstration if it is not there, reconcile it, serve it."""
    instance = demonstration.prepare(data_dir, MESSAGES, click.echo)
    demonstration.tell(instance, MESSAGES, click.echo, f"http://{address}:{port}")
    if no_serve:
        instance.close()
        return
    serve.run(
        instance,
        address=address,
        port=port,
        sequencer=True,
        # Its passes are of 2020 and 2021: nothing of it is to lapse while it is shown.
        jobs=jobs.work_only,
        ready=lambda: _listening(address, port),
    )


COMMANDS = (serve_, sequencer, jobs_, demo)
