"""Alerts without Grafana: the same rules over the ledger, told once each.

    rules.json ─findings→ (label, number) ─state→ what began, what is over ─outbox→ channels      every minute

`rules.json` is built by grafana/build.py from the sources that Grafana's rules are built from. `state.py` does no I/O.
"""
