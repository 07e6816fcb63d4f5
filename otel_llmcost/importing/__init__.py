"""Import of past usage from files: file → rows (`files`) → calls (`plan`, `values`, `calls`) → ledger (`run`)."""

from otel_llmcost.importing.calls import read_calls
from otel_llmcost.importing.files import Rejected, Row, UsageFile, open_usage_file
from otel_llmcost.importing.plan import FIELDS, Plan
from otel_llmcost.importing.run import Account, Import

__all__ = ["FIELDS", "Account", "Import", "Plan", "Rejected", "Row", "UsageFile", "open_usage_file", "read_calls"]
