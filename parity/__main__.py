"""`python -m parity` is the `parity` command."""

from parity.cli.main import main

raise SystemExit(main())
