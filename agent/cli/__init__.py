"""`kafka-migration`: what operators and CI type.

Speaks with the agent through the control topics and nothing else.

app.py puts it together; commands.py gives commands, status.py shows where it stands, render.py
makes tables and sentences.
"""


def main() -> None:
    """The entry point; everything heavy is imported here and not before."""
    from agent.cli.app import main as run

    run()


__all__ = ["main"]
