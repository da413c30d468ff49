"""Tests of the arithmetic and of what is read from other programs: python3 -m unittest, from benches/."""

import unittest
from xml.etree import ElementTree

from . import cases, figures, machine, peers, plot, report, run

RULES = "    acl is_api path_beg /api\n    use_backend api if is_api\n"


def sample(name, cost, rate=1000.0, p99=None):
    latency = {"p50": p99 / 2, "p99": p99, "p999": p99 * 2} if p99 else None
    return run.Sample(name, cost, rate, [], latency, cost / 2)


class Figures(unittest.TestCase):
    def test_wrk(self):
        text = "  {} requests in {}, 1.00MB read\nRequests/sec: 1\n"
        for count, time, expected in ((100, "2.50s", (100, 2.5)), (7, "500.00ms", (7, 0.5)), (9, "1.50m", (9, 90.0))):
            self.assertEqual(figures.parse_wrk(text.format(count, time)), expected)
        for wrong in ("Socket errors: connect 0, read 1", "Non-2xx or 3xx responses: 5"):
            with self.assertRaisesRegex(figures.Invalid, wrong[:7]):
                figures.parse_wrk(text.format(100, "2.00s") + wrong)
        for nothing in ("", text.format(0, "2.00s")):
            with self.assertRaises(figures.Invalid):
                figures.parse_wrk(nothing)

    def test_idle(self):
        self.assertEqual(figures.parse_idle("haring   idle TCP pair : 1146 bytes each (1 KiB before"), 1146)
        with self.assertRaises(figures.Invalid):
            figures.parse_idle("a connection was closed")

    def test_ratios_are_taken_within_a_round(self):
        # Everything costs twice as much in the second round, and the ratio stays.
        rounds = [{"a": [9.0, 11.0], "b": [8.0]}, {"a": [18.0, 22.0], "b": [16.0]}, {"a": [10.0]}]
        self.assertEqual(figures.ratios(rounds, "b", "a"), [0.8, 0.8])
        self.assertEqual(figures.differences(rounds, "b", "a"), [-2.0, -4.0])
        spread = figures.Spread([3, 1, 2])
        self.assertEqual((spread.median, spread.low, spread.high, spread.count), (2, 1, 3, 3))

    def test_usage(self):
        #         user nice system idle iowait irq softirq steal
        before = {"cpu0": [0] * 10, "cpu1": [100, 0, 100, 100, 0, 0, 100, 0, 0, 0]}
        after = {"cpu0": [99] * 10, "cpu1": [110, 5, 130, 150, 0, 1, 104, 2, 0, 0]}
        usage = machine.Usage(before, after)
        ticks = lambda seconds: round(seconds / machine.TICK_SECONDS)
        self.assertEqual([ticks(usage.busy), ticks(usage.by_processes), ticks(usage.steal)], [50, 45, 2])
        self.assertEqual(ticks(usage.whole), 102)


class Cases(unittest.TestCase):
    def setUp(self):
        self.cases = cases.all_cases(RULES)

    def test_names_and_bounds_belong_together(self):
        names = [case.name for case in self.cases]
        self.assertEqual(len(names), len(set(names)))
        programs = [peers.Peer(name, kind, name) for name, kind in KINDS]
        for bound in cases.BOUNDS:
            concerned = [case for case in self.cases if bound.case in (case.name, "*")]
            self.assertTrue(concerned, bound)
            # A bound whose two sides never meet would be met for ever.
            meet = [
                case
                for case in concerned
                if {bound.who, bound.against} <= {name for name, *_ in cases.contenders(case, programs, peers.takes_part)}
            ]
            self.assertTrue(meet, bound)

    def test_a_case_is_concluded(self):
        case = next(case for case in self.cases if case.name == "latency")
        first = [sample("haproxy", 10, p99=100), sample("haring", 8, p99=90), sample("haproxy again", 12, p99=100)]
        second = [sample("haproxy again", 10, p99=200), sample("haring", 8, p99=210), sample("haproxy", 10, p99=200)]
        result = report.conclude(case, [first, second], [], ["a note"])
        self.assertEqual(result.base, "haproxy")
        self.assertAlmostEqual(result.control.median, 1.1)
        self.assertAlmostEqual(result.to_base["haring"].low, 8 / 11)
        (verdict,) = result.verdicts
        self.assertAlmostEqual(verdict.spread.median, (0.9 + 1.05) / 2)
        self.assertTrue(verdict.met)
        self.assertFalse(verdict.clear)
        told = {"when": "", "processor": "", "processors": 2, "kernel": "", "memory_mib": 1}
        text = report.markdown([result], told, [], [], "")
        self.assertIn("1 of 1 met", text)
        self.assertIn("met (the range crosses it)", text)

    def test_plots_are_well_formed(self):
        results = []
        for case in self.cases:
            if case.name.startswith("keepalive-") or case.name == "latency":
                one = [sample(name, 10, p99=5.0) for name in ("haproxy", "haring", "<other>", "haproxy again")]
                results.append(report.conclude(case, [one], [], []))
        drawn = plot.plots(results)
        self.assertEqual(sorted(drawn), ["connections", "latency", "ratios"])
        for text in drawn.values():
            ElementTree.fromstring(text)
        self.assertEqual(plot.plots([]), {})

    def test_ticks(self):
        for low, high, expected in ((1, 12, [1, 2, 5, 10]), (11, 45, [15, 20, 30, 40])):
            self.assertEqual([round(tick) for tick in plot.ticks(low, high)], expected)


KINDS = [
    ("haproxy", "haproxy"),
    ("nginx", "nginx"),
    ("haring", "haring"),
    ("haring-epoll", "haring"),
    ("floor", "floor"),
]


if __name__ == "__main__":
    unittest.main()
