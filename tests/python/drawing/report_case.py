"""A run with everything that a report can show, and its page."""
import csv
import html
from html.parser import HTMLParser
import json
from pathlib import Path
import re
import tempfile
import unittest

from synthetic import build_full, draw


FIGURES = ("small_multiples", "bimodal", "tail", "cpu_share", "heatmap", "surge", "load", "cost",
           "memory", "throughput", "stranger")
FINDING = "Beside slow ones, p99 < 1 ms & more: “{}”"
SVG = """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:dc="http://purl.org/dc/elements/1.1/"
 width="921.6pt" height="{height}pt" viewBox="0 0 921.6 {height}">
<metadata><dc:title>{title}</dc:title></metadata>
<rect width="921.6" height="{height}" style="fill: #ffffff"/>
<circle cx="300" cy="200" r="90" style="fill: #0072b2"/></svg>
"""
MECHANISM = """; Does a short request wait for a long one?
;
; First paragraph about `short` requests,
; on two lines.
;
; Second one.
"""
GUIDE_ROW = {"id": "B2", "claim": "A core does so many", "guide": "20/s", "formula": "1 s / 50 ms",
             "model": "20/s", "measured": "19.8/s [19.7, 19.9]", "agreement": "agree",
             "verdict": "It does."}


def svg(stem, height=518.4):
    return SVG.format(height=height, title=html.escape(FINDING.format(stem)))


def build(folder):
    """A run with everything that a report can show; figures are stand-ins."""
    run = build_full(folder)
    (run / "figures").mkdir()
    for stem in FIGURES:
        (run / "figures" / f"{stem}.svg").write_text(svg(stem, 1400 if stem == "load" else 518.4))
    (run / "tables").mkdir()
    with open(run / "tables" / "b.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, GUIDE_ROW)
        writer.writeheader()
        writer.writerow(GUIDE_ROW)
    bimodal = run / "workloads" / "bimodal.ini"
    bimodal.write_text(MECHANISM + bimodal.read_text())
    (run / "predictions.json").write_text(json.dumps({
        "schema": "archbench-predictions/1", "cells": [
            {"workload": "cpu", "point": "base", "arch": "event", "capacity": 199,
             "bottleneck": "threads that compute", "achieved_rate": 199, "mean_us": 1},
            {"workload": "bimodal", "point": "base", "arch": "event", "capacity": 300,
             "bottleneck": "threads that compute",
             "classes": {"short": {"p99_us": 170000, "mean_us": 1}}}]}))
    return run


class Page(HTMLParser):
    """What of a page can be judged without a browser."""
    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loads, self.headings = [], [], [], []
        self.images, self.tables, self.columns, self.frames = [], [], [], []
        self.labels, self.languages, self.landmarks = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        of = dict(attrs)
        if "id" in of:
            self.ids.append(of["id"])
        if tag == "a":
            self.links.append(of["href"])
        elif "src" in of or "href" in of:
            self.loads.append(of.get("src") or of["href"])
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img":
            self.images.append(of)
        if tag == "table":
            self.tables.append(None)
        if tag == "caption":
            self.tables[-1] = True
        if tag == "th":
            self.columns.append(of.get("scope"))
        if of.get("role") == "region":
            self.frames.append((of.get("tabindex"), of.get("aria-label")))
        self.labels += of.get("aria-labelledby", "").split()
        if tag == "html":
            self.languages.append(of.get("lang"))
        if tag in ("main", "nav", "header"):
            self.landmarks.append(tag)

    handle_startendtag = handle_starttag


class Built(unittest.TestCase):
    """The page of a full run, made once by the program itself."""

    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory(prefix="archbench report ")
        cls.addClassCleanup(holder.cleanup)
        cls.folder = build(Path(holder.name) / "run")
        done = draw(cls.folder, "report")
        assert done.returncode == 0, done.stderr
        cls.file = cls.folder / "report.html"
        cls.text = cls.file.read_text(encoding="utf-8")
        cls.page = Page(cls.text)

    def section(self, name):
        """The page from this section on to the next."""
        rest = self.text.partition(f'<section id="{name}"')[2]
        return rest.partition("<section ")[0]
