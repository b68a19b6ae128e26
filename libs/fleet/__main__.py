"""`python -m fleet`: the supervisor's command line."""

from fleet.supervisor.commands import main

if __name__ == "__main__":
    main()
