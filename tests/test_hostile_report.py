"""The report in a browser, under its own policy: everything works, and nothing of the data runs."""

import base64
import hashlib
import json
import re
import shutil

import pytest

from isogloss.charts import Axis, Chart, Panel, Points
from isogloss.report import Column, Download, Report, Section, Table, inert, interactive, render
from sample_charts import atlas
from test_report import opened

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
PAYLOADS = (
    "<script>window.owned=1</script>",
    "<img src=x onerror=window.owned=1>",
    "<a href='javascript:window.owned=1'>x</a>",
    "</script><script>window.owned=1</script>",
    "<svg onload=window.owned=1>",
    "%{x}%{customdata[0]}<extra>x</extra>",
    '" onmouseover="window.owned=1" x=\'',
    "{{ 7 * 7 }}{% raw %}",
    "<style>body{display:none}</style>",
    "<!--",
    "&lt;b&gt;",
    "$\\frac$",
)
EVIL = " ".join(PAYLOADS)


def points(name="p", **rest):
    return Points(name, (1.0, 2.0), (1.0, 2.0), ids=("a", "b"), **rest)


def test_a_name_is_no_template():
    chart = Chart("c", "t", "c", (Panel("p", Axis("%{y}"), Axis("b"), (points("%{x} <b>"),)),))
    ((trace,),) = [f["data"] for f in interactive.figures(chart)]
    assert trace["hovertemplate"] == (
        "&#37;{x} &lt;b&gt;<br>&#37;{y}: %{x:.4g}<br>b: %{y:.4g}<extra></extra>"
    )
    assert inert.escape("100 %") == "100 %"


DRIVE = """
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const refused = [];
document.addEventListener("securitypolicyviolation", (e) => refused.push(e.violatedDirective));
const link = (name) => document.querySelector(`a[data-unpack="${name}"]`);
(async () => {
  const seen = { };
  try {
    const figure = document.querySelector("#figure-1");
    while (!figure.classList.contains("ready")) await wait(50);
    const at = () => figure.querySelector(".points path").getAttribute("transform");
    seen.before = at();
    figure.querySelector(".steps button[data-move='1']").click();
    await wait(1500);
    seen.after = at();
    const other = document.querySelector("#figure-2");
    other.scrollIntoView();
    while (!other.classList.contains("ready")) await wait(50);
    const plot = other.querySelector(".plot");
    Plotly.Fx.hover(plot, [{ curveNumber: 0, pointNumber: 1 }]);
    await wait(300);
    seen.hover = [...plot.querySelectorAll(".hovertext text")].map((t) => t.textContent).join(" ");
    const background = getComputedStyle(document.body).backgroundColor;
    document.getElementById("theme").click();
    await wait(500);
    seen.themes = background !== getComputedStyle(document.body).backgroundColor;
    const table = document.querySelector("#counts-here, #compared .table");
    table.querySelectorAll("thead button")[1].click();
    seen.sorted = table.querySelector("tbody td.n").textContent.trim();
    const filter = table.querySelector("input[type=search]");
    filter.value = "l7";
    filter.dispatchEvent(new Event("input"));
    seen.left = [...table.querySelectorAll("tbody tr")].filter((r) => !r.hidden).length;
    const file = link("big.csv");
    file.click();
    for (let i = 0; i < 60 && !file.href.startsWith("blob:"); i++) await wait(50);
    seen.blob = file.href.slice(0, 5);
    seen.png = figure.querySelector("a.png").href.slice(0, 22);
    seen.body = getComputedStyle(document.body).display;
    // What a script that got in could try.
    const probe = document.createElement("script");
    probe.textContent = "window.probed = 1";
    document.body.append(probe);
    const image = document.createElement("img");
    image.src = "https://example.org/x.png";
    document.body.append(image);
    await fetch("https://example.org/").catch(() => { seen.fetch = "refused"; });
    await wait(200);
    seen.probed = window.probed || 0;
  } catch (error) {
    seen.error = String(error);
  }
  seen.owned = window.owned || 0;
  seen.refused = refused;
  const p = document.createElement("p");
  p.id = "seen";
  p.textContent = JSON.stringify(seen);
  document.body.append(p);
})();
"""


def evil_report():
    hover = tuple(f"{EVIL} {i}" for i in range(2))
    panel = Panel(EVIL, Axis(EVIL), Axis(EVIL), (points(EVIL, hover=hover), points("%{y}")))
    chart = Chart("evil", EVIL, EVIL, (panel,), notes=(EVIL,))
    rows = tuple((f"{EVIL} l{i}", 20 - i) for i in range(20))
    counts = Table(EVIL, (Column(EVIL, "text", EVIL), Column("n", "integer")), rows)
    sections = (
        Section(EVIL, EVIL, (atlas(("in", "1", "2"), sentences=40), chart), ()),
    )  # fmt: skip
    files = (Download("big.csv", "text/csv", b"a,b\n" * 5000), Download(EVIL, "text/csv", b"x"))
    return Report(
        title=EVIL, subtitle=EVIL, banners=(), sections=sections, counts=counts, dropped=counts,
        study_yaml=EVIL,
        environment=((EVIL, EVIL),), notes=(EVIL,), downloads=files,
    )  # fmt: skip


@pytest.mark.skipif(BROWSER is None, reason="no Chromium to open the report with")
def test_all_of_the_report_works_under_its_policy_and_nothing_of_the_data_runs(tmp_path):
    html = render(evil_report())
    digest = base64.b64encode(hashlib.sha256(DRIVE.encode()).digest()).decode()
    html = html.replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    path = tmp_path / "evil.html"
    path.write_text(html.replace("</body>", f"<script>{DRIVE}</script></body>"), encoding="utf-8")
    dom, complaints = opened(path, tmp_path)
    ((_, text),) = dom.all("p", id="seen")
    seen = json.loads(text)
    assert seen.get("error") is None
    assert seen["before"] != seen["after"]
    hover = "".join(seen["hover"].split())
    assert all("".join(payload.split()) in hover for payload in PAYLOADS)
    assert seen["themes"]
    assert seen["sorted"] == "1"
    assert seen["left"] == 1
    assert seen["blob"] == "blob:"
    assert seen["png"] == "data:image/png;base64,"
    assert seen["body"] != "none"
    assert (seen["owned"], seen["probed"], seen["fetch"]) == (0, 0, "refused")
    # Only what the test itself tried was refused.
    assert sorted(seen["refused"]) == ["connect-src", "img-src", "script-src-elem"]
    ours = [c for c in complaints if not re.search("example.org|inline script", c)]
    assert ours == []
