"""The report as one self-contained HTML page with charts as inline SVG; needs the extra `[report]`.

The page has no script and loads nothing. Its colours follow the reader's light or dark mode, also
in the charts, because these have classes instead of colours.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pygal import Bar, HorizontalBar
from pygal.etree import etree
from pygal.style import Style

from polygent_issuer.delivery.report import LicenseReport, Total
from polygent_issuer.terms import dates
from polygent_issuer.text import escape

# For its maps pygal adds a finder of a kind that Python 3.11 warns of at each missing module.
sys.meta_path[:] = [each for each in sys.meta_path if type(each).__module__ != "pygal"]

_HERE: Final = Path(__file__).parent
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    # Also what steers a terminal or the reading direction.
    finalize=lambda value: escape(value) if type(value) is str else value,
)
_TEMPLATES.filters.update(instant=dates.instant, number=lambda count: f"{count:,}")

_WIDE: Final = {"width": 1100, "height": 240}
_NARROW: Final = 540
_ROW: Final = 36
"""The height of a horizontal bar, in pixels as the others."""
_MOST_BARS: Final = 12
_BUFFERED: Final = 1000
"""The number of pieces that become one text: a license has some thirty, of few characters each."""
_SHOWN: Final = ("svg", "g", "rect", "path", "text", "title")
"""The elements of a chart that a reader sees: no script, no style, no tooltip."""
_PLAIN: Final[dict[str, Any]] = {
    "js": (),
    "css": (),
    "style": Style(label_font_size=13, value_font_size=13),  # as in the style sheet of the page
    "margin": 8,
    "show_legend": False,
    "show_y_guides": False,
}


def page(report: LicenseReport, *, issuer: str) -> str:
    """Return the page as text in HTML."""
    style = Markup((_HERE / "templates" / "report.css").read_text(encoding="utf-8"))  # noqa: S704
    pieces = _TEMPLATES.get_template("report.html").stream(
        report=report,
        issuer=issuer,
        style=style,
        expired=sum(each.expired for each in report.licenses),
        months=_columns(report.months),
        plans=_bars(report.by_plan, "Users by plan"),
        tiers=_bars(report.by_tier, "Users by tier"),
    )
    pieces.enable_buffering(_BUFFERED)
    return "".join(pieces)


def _columns(months: Iterable[Total]) -> Markup:
    chart = Bar(
        **_PLAIN,
        **_WIDE,
        show_y_labels=False,
        print_values=True,
        print_values_position="top",
        print_zeroes=False,
    )
    months = tuple(months)
    chart.x_labels = [each.name for each in months]
    chart.add("", [each.licenses for each in months])
    return _svg(chart, "Licenses that expire in each month")


def _bars(totals: Iterable[Total], title: str) -> Markup:
    """Return a bar for each of the first totals, the largest on top."""
    first = tuple(totals)[:_MOST_BARS]
    height = _ROW * len(first) + 16
    chart = HorizontalBar(**_PLAIN, width=_NARROW, height=height, show_x_labels=False)
    # A short bar has no room for its number.
    chart.x_labels = [f"{escape(each.name)}: {each.users:,}" for each in reversed(first)]
    chart.add("", [each.users for each in reversed(first)])
    return _svg(chart, title)


def _svg(chart: Any, title: str) -> Markup:  # noqa: ANN401 - pygal has no types
    chart.value_formatter = lambda count: f"{count:,.0f}"
    root = chart.render_tree()
    _strip(root)
    root.attrib.pop("id")  # random, and only for pygal's own style
    root.attrib.update({"class": "chart", "role": "img", "aria-label": title})
    return Markup(etree.tostring(root, encoding="unicode"))  # noqa: S704 - escaped by the library


def _strip(element: Any) -> None:  # noqa: ANN401 - of one of two libraries
    """Remove each element that a reader does not see."""
    for child in list(element):
        tag = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else ""
        if tag not in _SHOWN or "tooltip-overlay" in child.get("class", ""):
            element.remove(child)
        else:
            _strip(child)
