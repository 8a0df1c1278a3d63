# tools/dev/bench_report.py: rows of `dev bench`: ratios, spread, text and markdown.
import statistics


def spread(values, form="{:,.0f}"):
    text = form.format(statistics.median(values))
    return text + (f" ({form.format(min(values))}–{form.format(max(values))})" if len(values) > 1 else "")


def ratios(over, under):
    """Round by round: neighbours in time saw the same machine."""
    return [a / max(b, 1e-9) for a, b in zip(over, under)]


def column(rows, key):
    return [row[key] for row in rows]


def disturbed(results, limit):
    return sum(1 for rows in results.values() for row in rows if row["others_cpu"] > limit)


def throughput_row(name, text, results, others_max, least=None, least_cpu=None, canary=None):
    kafka, millrace = results["kafka"], results["millrace"]
    speed = ratios(column(millrace, "mb_per_s"), column(kafka, "mb_per_s"))
    cpu = ratios(column(kafka, "cpu_gib"), column(millrace, "cpu_gib"))
    wanted = [f"{least}× as fast"] * bool(least) + [f"{least_cpu}× less CPU"] * bool(least_cpu)
    met = (not least or statistics.median(speed) >= least) and (
        not least_cpu or statistics.median(cpu) >= least_cpu)

    def cell(rows):
        per_request = spread(column(rows, "us_request"), "{:.1f}")
        return (f"{spread(column(rows, 'mb_per_s'))} MB/s, {spread(column(rows, 'requests_per_s'))}/s; "
                f"{spread(column(rows, 'cpu_gib'), '{:.2f}')} CPU-s/GiB, {per_request} us each")
    row = {"name": name, "text": text, "target": " and ".join(wanted), "met": met,
           "cells": {kind: cell(rows) for kind, rows in results.items()},
           "ratio": f"{spread(speed, '{:.2f}')}× as fast, {spread(cpu, '{:.2f}')}× less CPU",
           "speed_ratio": speed, "cpu_ratio": cpu, "rounds": results,
           "disturbed": disturbed(results, others_max)}
    if canary:
        row["canary"] = canary
        row["cells"]["canary"] = (f"{canary['mb_per_s']:,.0f} MB/s, {canary['requests_per_s']:,.0f}/s; "
                                  f"{canary['cpu_gib']:.2f} CPU-s/GiB, {canary['us_request']:.1f} us each")
    return row


QUANTILES = (("p50", "p50_us", 0.8), ("p99", "p99_us", 0.3), ("p99.9", "p999_us", 0.2))


def latency_row(name, text, results, others_max, quantiles=QUANTILES):
    def cell(rows):
        return ", ".join(f"{label} {spread(column(rows, key))}" for label, key, _ in quantiles) + " us"
    ratio = {label: statistics.median(ratios(column(results["millrace"], key), column(results["kafka"], key)))
             for label, key, _ in quantiles}
    return {"name": name, "text": text, "cells": {kind: cell(rows) for kind, rows in results.items()},
            "ratio": ", ".join(f"{label} {value:.2f}×" for label, value in ratio.items()),
            "target": ", ".join(f"{label} {most}×" for label, _, most in quantiles if most),
            "met": all(ratio[label] <= most for label, _, most in quantiles if most),
            "quantile_ratio": ratio, "rounds": results, "disturbed": disturbed(results, others_max)}


def number(value, unit):
    return f"{value:,.3f} {unit}" if value < 1 else f"{value:,.2f} {unit}" if value < 10 else f"{value:,.0f} {unit}"


def simple_row(name, text, values, target, met):
    """values: kind -> what -> (number, unit); smaller is better."""
    def cell(kind):
        return ", ".join(f"{what} {number(*value)}" for what, value in values[kind].items())
    ratio = ""
    if "kafka" in values:
        ratio = ", ".join(f"{what} {values['kafka'][what][0] / max(values['millrace'][what][0], 1e-9):.1f}× less"
                          for what in values["millrace"])
    return {"name": name, "text": text, "cells": {kind: cell(kind) for kind in values}, "ratio": ratio,
            "target": target, "met": met, "values": values, "disturbed": 0}


def print_row(row):
    print(f"\n{row['name']}: {row['text']}")
    for kind, cell in row["cells"].items():
        print(f"  {kind:9} {cell}")
    mark = f" * {row['disturbed']} rounds disturbed by other work" if row["disturbed"] else ""
    print(f"  ratio     {row['ratio'] or '-'}   (wanted {row['target']}: {'met' if row['met'] else 'MISSED'}){mark}",
          flush=True)


def markdown(rows):
    lines = ["| row | workload | Kafka 4.3.1 | Millrace | ratio | at least | |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        cells = row["cells"]
        star = "\\*" if row["disturbed"] else ""
        lines.append(f"| {row['name']} | {row['text']} | {cells.get('kafka', '–')} | {cells['millrace']} | "
                     f"{row['ratio'] or '–'} | {row['target']} | {'met' if row['met'] else 'missed'}{star} |")
    return "\n".join(lines)
