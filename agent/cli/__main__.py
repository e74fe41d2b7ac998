"""`python -m agent.cli` is `kafka-migration`."""

from agent.cli.app import main

if __name__ == "__main__":
    main()
