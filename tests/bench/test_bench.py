# SPDX-License-Identifier: BSD-2-Clause
"""The measurements work, what they give can be true, and the page is made of it. Never how quick anything is."""

import copy
import math
import pathlib
import subprocess
import sys
import xml.etree.ElementTree

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from harness import page, plot, results, sane, terminal  # noqa: E402
from harness.measurement import Aim, Column, Plot, Result, Row, Table, Value, alternate, times  # noqa: E402
from harness.measurement import values as values_of  # noqa: E402
from stack import SANITIZED  # noqa: E402


@pytest.mark.skipif(SANITIZED, reason="what a build with sanitizers takes says nothing, and is not waited for")
def test_every_measurement_works(tmp_path):
    with open(tmp_path / "output", "w+") as output:  # a file: what outlives the command cannot keep it open
        smoke = subprocess.Popen([HERE / "bench", "--smoke"], stdout=output, stderr=output)
        try:
            smoke.wait(600)
        except subprocess.TimeoutExpired:
            smoke.terminate()  # it stops what it has started
            smoke.wait(60)
        finally:
            smoke.kill()
    assert smoke.returncode == 0, (tmp_path / "output").read_text()[-5000:]


COLUMNS = [Column("rate", "requests", "requests/s", 0, "higher"), Column("p50", "p50", "ms", 1, "lower"),
           Column("p99", "p99", "ms", 1, "lower")]  # fmt: skip


def row(name, rates, p50=1.0, p99=2.0, note=""):
    return Row(name, name.title(), {"rate": Value.of(rates), "p50": Value.of(p50), "p99": Value.of(p99)}, note)


def result(name="empty"):
    rows = [row("gangsaw", [2100, 2000, 2300]), row("other", [1000, 900, 1100]), row("third", [40], note="a | b")]
    rows[2].values["p99"] = None
    return Result(name, f"An {name} answer", "How quick?", "So.", [Table("Rates", copy.deepcopy(COLUMNS), rows)],
                  [Plot(name, "Rates & more", 0, "rate", log=True, says="Twice as quick.")],
                  [Aim("of the other", 2.1, 2), Aim("of memory", 0.6, 0.5, "lower")], ["noted"])  # fmt: skip


def run_of(*all_results):
    return {"when": "2026-01-02T03:04:05+00:00", "seconds": 100, "options": {"rounds": 3, "seconds": None}, "results": list(all_results),
            "machine": {"processor": "P", "cores": 2, "memory_gb": 4, "kernel": "6.1", "system": "S", "load_before": 0.1},
            "versions": {"common": {"nginx": "1.22"}, "generators": {"wrk": "4.1"}, "gangsaw": {"gangsaw": "0.1"}, "other": {}},
            "titles": {"gangsaw": "Gangsaw", "other": "Other"}, "settings": {"gangsaw": [], "other": [["a", "b", "its guide"]]}}  # fmt: skip


def test_a_figure_is_the_median_with_its_spread():
    got = Value.of([3, 1, 2])
    assert (got.lowest, got.median, got.highest, got.rounds) == (1, 2, 3, [3, 1, 2])
    assert Value.of(5).lowest == Value.of(5).highest == 5


@pytest.mark.parametrize(("ratio", "said"), [(0.97, "0.97 times"), (1.04, "1.04 times"), (0.81, "0.8 times"), (36.72, "36.7 times")])
def test_a_ratio_says_which_is_the_better(ratio, said):
    assert times(ratio) == said


def test_rounds_alternate():
    order = []
    got = alternate({"a": 1, "b": 2}, 2, lambda each: order.append(each) or {"x": each, "y": None})
    assert order == [1, 2, 1, 2]
    assert values_of(got["b"], "x", "y") == {"x": Value.of([2, 2]), "y": None}


def test_results_are_read_back_as_they_were_written(tmp_path):
    run = run_of(result(), result("mix"))
    assert results.read(results.write("all", run, tmp_path)) == run


def broken(change):
    found = result()
    change(found)
    return found


BROKEN = {
    "not a number": lambda r: setattr(r.tables[0].rows[0].values["rate"], "median", math.nan),
    "not in order": lambda r: setattr(r.tables[0].rows[0].values["rate"], "highest", 1),
    "negative": lambda r: r.tables[0].rows[0].values.update(rate=Value.of(-1.0)),
    "no rate": lambda r: r.tables[0].rows[0].values.update(rate=Value.of(0)),
    "percentiles": lambda r: r.tables[0].rows[0].values.update(p50=Value.of(3.0)),
    "no note": lambda r: setattr(r.tables[0].rows[2], "note", ""),
    "no value": lambda r: r.tables[0].rows[0].values.pop("p50"),
    "no row": lambda r: r.tables[0].rows.clear(),
    "unit": lambda r: setattr(r.tables[0].columns[0], "unit", "furlongs"),
    "plot": lambda r: setattr(r.plots[0], "key", "x"),
    "aim": lambda r: setattr(r.aims[0], "value", None),
    "question": lambda r: setattr(r, "question", ""),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_cannot_be_true_is_complained_of(what):
    assert sane.complaints(result()) == []
    assert sane.complaints(broken(BROKEN[what])) != []


def write_page(folder, run):
    (folder / "README.md").write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    page.write(run, folder)
    return (folder / "docs" / "benchmarks.md").read_text(), (folder / "README.md").read_text()


def test_the_page_says_which_aims_are_met_and_by_how_much_others_are_missed(tmp_path):
    text, _ = write_page(tmp_path, run_of(result()))
    assert "| 2.1 | ≥ 2 | met |" in text
    assert "| 0.6 | ≤ 0.5 | **missed** by 20 % |" in text
    assert "1 of 2 aims are met" in text


def test_the_page_has_every_figure_with_its_spread_and_the_ratio(tmp_path):
    text, _ = write_page(tmp_path, run_of(result()))
    assert "| **Gangsaw** | 2,100 (2,000–2,300) | 1.0 | 2.0 | – |" in text
    assert "| Other | 1,000 (900–1,100) | 1.0 | 2.0 | 2.1 |" in text
    assert "| Third | 40 | 1.0 | – | 52.5 | a \\| b |" in text
    assert "| a | b | its guide |" in text and "2026-01-02" in text and "nginx 1.22" in text


def test_the_readme_shows_plots_between_its_marks_alone(tmp_path):
    _, readme = write_page(tmp_path, run_of(result(), result("mix"), result("squares")))
    assert readme.startswith(f"before\n{page.BEGIN}\n") and readme.endswith(f"{page.END}\nafter\n")
    other = result("mix")
    other.plots[0].says = ""
    assert "2,100 requests/s of Gangsaw, 1,000 requests/s of the best of the others (Other)" in page.readme_section(run_of(other))
    assert "old" not in readme and "Twice as quick." in readme
    assert "docs/benchmarks/mix.svg" in readme and "docs/benchmarks/squares.svg" not in readme


def command(*words):
    """What ./dev calls, where it does not measure: its status, and what it says."""
    done = subprocess.run([HERE / "bench", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    return done.returncode, done.stdout


@pytest.mark.parametrize("part", [{"smoke": True}, {"smoke": False, "options": {"rounds": 3, "seconds": None, "only": None}}])
def test_a_part_of_the_measurements_does_not_become_the_page(tmp_path, part):
    file = results.write("some", {**run_of(result()), **part}, tmp_path)
    assert command("--page", file) == (1, f"{file} is not of a whole run\n")


@pytest.mark.parametrize("words", [["nosuch"], ["--packages", "nosuch"], ["-c", "nosuch", "empty"]])
def test_a_name_that_there_is_not_is_said_before_anything_is_done(words):
    status, said = command(*words)
    assert status == 1 and "nosuch; there are " in said


def test_plots_that_are_no_more_are_removed(tmp_path):
    write_page(tmp_path, run_of(result(), result("mix")))
    write_page(tmp_path, run_of(result("mix")))
    assert [each.name for each in (tmp_path / "docs" / "benchmarks").iterdir()] == ["mix.svg"]


@pytest.mark.parametrize("log", [False, True])
def test_a_plot_is_well_formed_and_always_the_same(log):
    found = result()
    found.plots[0].log = log
    drawn = plot.bars(found.plots[0], found.tables[0])
    assert drawn == plot.bars(copy.deepcopy(found.plots[0]), copy.deepcopy(found.tables[0]))
    tree = xml.etree.ElementTree.fromstring(drawn)
    bars = [each for each in tree.findall(".//{*}rect") if each.get("fill") in (plot.ACCENT, plot.GREY)]
    widths = [float(each.get("width")) for each in bars]
    assert [each.get("fill") for each in bars] == [plot.ACCENT, plot.GREY, plot.GREY]
    assert widths == sorted(widths, reverse=True) and widths[-1] > 0
    assert log or widths[0] / widths[1] == pytest.approx(2.1, rel=0.01)


@pytest.mark.parametrize("rates", [[0, 0], [1e-4, 3e5], [7, 7], [1, 10]])
def test_any_figures_can_be_drawn(rates):
    table = Table("T", COLUMNS, [row("gangsaw", rates), row("other", [rates[0]])])
    for log in (False, True):
        xml.etree.ElementTree.fromstring(plot.bars(Plot("p", "P", 0, "rate", log=log), table))


def test_a_result_can_be_printed(capsys):
    terminal.show(result())
    printed = capsys.readouterr().out
    assert "2,100 (2,000-2,300)" in printed and "MISSED" in printed
