"""The command as it is started: the rest is imported once it runs, so that a process that helps it starts light."""


def main() -> None:
    """Run the command line."""
    from app.cli import main as command  # noqa: PLC0415 - that is the point

    command.main()
