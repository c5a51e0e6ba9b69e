"""The picture: that it is one, and says what a table would say."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import picture, report
from bench.results import NoResults
from tests.bench import samples

SVG = "{http://www.w3.org/2000/svg}"


def test_each_series_has_a_point_for_each_size(tmp_path: Path) -> None:
    drawn = ElementTree.fromstring(picture.svg(samples.results(tmp_path, send=samples.sends(0.8))))
    points = [len(line.attrib["points"].split()) for line in drawn.iter(f"{SVG}polyline")]
    assert points == [2, 2, 2, 2], "throughput and p99, each of sends and of the ceiling"


def test_everything_is_within_the_frame(tmp_path: Path) -> None:
    drawn = ElementTree.fromstring(picture.svg(samples.results(tmp_path, send=samples.sends(0.8))))
    _, _, width, height = map(float, drawn.attrib["viewBox"].split())
    for dot in drawn.iter(f"{SVG}circle"):
        assert 0 < float(dot.attrib["cx"]) < width
        assert 0 < float(dot.attrib["cy"]) < height


def test_more_is_drawn_higher(tmp_path: Path) -> None:
    drawn = ElementTree.fromstring(picture.svg(samples.results(tmp_path, send=samples.sends(0.8))))
    first = next(drawn.iter(f"{SVG}polyline")).attrib["points"]
    (_, low), (_, high) = (map(float, point.split(",")) for point in first.split())
    assert high < low


def test_the_picture_tells_its_conditions(tmp_path: Path) -> None:
    drawn = ElementTree.fromstring(picture.svg(samples.results(tmp_path, send=samples.sends(0.8))))
    texts = [text.text or "" for text in drawn.iter(f"{SVG}text")]
    assert f"flush: {report.FLUSH_MODE}" in texts
    assert any("dedup on" in text and "10,000 events already in the log" in text for text in texts)


def test_without_figures_there_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(NoResults):
        picture.svg(samples.results(tmp_path))
