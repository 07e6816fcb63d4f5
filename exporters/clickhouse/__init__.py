"""The ledger in ClickHouse, on a server or embedded.

    calls → rows.columns → writer.ClickHouseSink → client.Ledger → ClickHouse

schema/*.sql   what a ledger consists of: read by ddl.py, applied by migrations.py, kept as long as retention.py says
shadows.py     the marks that keep versions on both sides of midnight one line
settling.py    totals of hours that are over; settler.py does it in the background
failures.py    the server's errors → ours
"""
