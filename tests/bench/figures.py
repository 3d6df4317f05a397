"""Figures of interleaved rounds: their median and spread, tables of them, and goals that are judged by them."""
import statistics


class Figures:
    """Values of each side (columns) for each row, one per round."""

    def __init__(self, columns):
        self.columns, self.rows, self.order = columns, {}, []

    def add(self, row, column, value):
        if row not in self.rows:
            self.rows[row] = {}
            self.order.append(row)
        self.rows[row].setdefault(column, []).append(value)

    def median(self, row, column):
        values = self.rows.get(row, {}).get(column)
        return statistics.median(values) if values else None

    def ratio(self, row, column, to):
        """The median of the ratios within each round: what the machine does besides goes into both."""
        pairs = zip(self.rows.get(row, {}).get(column, []), self.rows.get(row, {}).get(to, []))
        ratios = [a / b for a, b in pairs if b]
        return statistics.median(ratios) if ratios else None

    def cell(self, row, column):
        values = self.rows[row].get(column)
        if not values:
            return "-"
        middle = statistics.median(values)
        spread = (max(values) - min(values)) / middle / 2 * 100 if middle and len(values) > 1 else 0
        return "%s ±%d%%" % (short(middle), round(spread)) if spread >= 0.5 else short(middle)

    def table(self):
        head = ["what"] + self.columns
        lines = [head] + [[row] + [self.cell(row, c) for c in self.columns] for row in self.order]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        shown = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths)) + " |" for line in lines]
        return "\n".join([shown[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|"] + shown[1:])


def short(v):
    if v >= 10000:
        return "%.1f k" % (v / 1000)
    return "%.0f" % v if v >= 100 else "%.1f" % v if v >= 10 else "%.2f" % v


class Goals:
    def __init__(self):
        self.lines, self.missed = [], 0

    def most(self, what, value, limit, unit=""):
        self._judge(what, value, "at most %s%s" % (short(limit), unit), value is not None and value <= limit, unit)

    def least(self, what, value, limit, unit=""):
        self._judge(what, value, "at least %s%s" % (short(limit), unit), value is not None and value >= limit, unit)

    def _judge(self, what, value, goal, met, unit):
        if value is None:
            return  # not measured in this run
        self.missed += not met
        self.lines.append("| %s | %s | %s%s | %s |" % (what, goal, short(value), unit, "met" if met else "MISSED"))

    def table(self):
        return "\n".join(["| goal | asked | measured | |", "|---|---|---|---|"] + self.lines)
