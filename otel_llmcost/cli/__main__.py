"""`python -m otel_llmcost.cli`."""

import sys

from otel_llmcost.cli import main

if __name__ == "__main__":
    sys.exit(main())
