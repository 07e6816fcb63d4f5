"""The ledger in ClickHouse, on a server or embedded.

    calls → rows.columns → writer.ClickHouseSink → client.Ledger → ClickHouse

`schema/*.sql` (read by ddl.py) is what a ledger consists of; failures.py turns the server's errors into ours.
"""
