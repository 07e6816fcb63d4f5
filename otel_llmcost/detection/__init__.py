"""Anomaly detection: SQL over the ledger, and the little Python that runs it.

    calls → series_minute ─remember→ series_hour ─expect→ series_expected, series_usual     once an hour
            series_minute + series_expected ─spend, measures, …→ anomaly_signals            every minute
            anomaly_signals + anomaly_links → view anomalies: one row per cause             what people read

All of the judging is in `sql/*.sql`, with `{from}` and `{to}` as parameters and its thresholds in `detection_settings`:
dashboards, alerts and the command line read the same rows. docs/anomalies.md says how it judges and how well.
"""
