"""The report in a real browser, on a screen, a phone, a projector, paper, and with the keyboard alone."""
import re
import unittest

import browser
from report_case import FIGURES, Built

UNTIMED = True  # it starts no server and measures no time


CONTRASTS = """(() => {
  document.querySelectorAll("details").forEach(d => d.open = true);
  const parse = c => { const n = c.match(/[\\d.]+/g).map(Number);
                       return n.length > 3 && n[3] === 0 ? null : n.slice(0, 3); };
  const light = c => { const [r, g, b] = c.map(v => { v /= 255;
      return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
    return .2126 * r + .7152 * g + .0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor); if (c) return c; }
    return [255, 255, 255]; };
  const seen = {};
  for (const e of document.body.querySelectorAll("*")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    if (["SCRIPT", "STYLE", "title"].includes(e.tagName)) continue;
    const style = getComputedStyle(e);
    const text = parse(e.ownerSVGElement ? style.fill : style.color), back = behind(e);
    const [a, b] = [light(text), light(back)].sort((x, y) => y - x);
    seen[text + " on " + back] = [(a + .05) / (b + .05), e.tagName + "." + e.className];
  }
  return seen;
})()"""
CUT_OFF = """[...document.querySelectorAll("body *")].filter(e => {
  const style = getComputedStyle(e);
  return ["auto", "scroll"].includes(style.overflowX) && e.scrollWidth > e.clientWidth + 1 &&
         e.tabIndex !== 0; }).map(e => e.className || e.tagName)"""
WIDTHS = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"


class InABrowser(Built):
    """Debian's chromium, without a window."""
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = browser.Browser()
        cls.addClassCleanup(cls.browser.close)

    def show(self, width=1280, height=900, fragment="", **how):
        self.browser.look(width, height, **how)
        self.browser.open(self.file, fragment)

    def ask(self, script):
        return self.browser.evaluate(script)

    def test_it_asks_for_nothing_and_complains_of_nothing(self):
        self.show()
        self.assertEqual(self.browser.requested(), [self.file.resolve().as_uri()])
        self.assertEqual(self.browser.complaints(), [])
        broken = self.ask("[...document.images].filter(i => !i.naturalWidth).map(i => i.alt)")
        self.assertEqual(broken, [])

    def test_no_width_makes_the_page_scroll_sideways(self):
        self.show()
        self.ask("document.querySelectorAll('details').forEach(d => d.open = true)")
        for width in (320, 390, 768, 1280, 1920):
            self.browser.look(width, 844, touch=width < 800)
            needed, there = self.ask(WIDTHS)
            self.assertEqual(there, width)
            self.assertLessEqual(needed, there)
            self.assertEqual(self.ask(CUT_OFF), [], width)

    def test_text_grows_with_the_screen(self):
        sizes = []
        self.show()
        for width in (390, 1280, 1920):
            self.browser.look(width, 900)
            sizes.append(self.ask("parseFloat(getComputedStyle(document.querySelector"
                                  "('.answer')).fontSize)"))
        self.assertGreaterEqual(sizes[0], 16)
        self.assertGreaterEqual(sizes[2], 28)
        self.assertEqual(sizes, sorted(sizes))

    def colours(self):
        return self.ask("[getComputedStyle(document.body).backgroundColor, "
                        "getComputedStyle(document.body).color, "
                        "getComputedStyle(document.images[0]).filter]")

    def test_dark_is_dark(self):
        self.show()
        page, ink, image = self.colours()
        self.assertEqual((page, image), ("rgb(255, 255, 255)", "none"))
        self.browser.look(1280, 900, dark=True)
        dark_page, dark_ink, dark_image = self.colours()
        self.assertLess(sum(map(int, re.findall(r"\d+", dark_page))), 120)
        self.assertGreater(sum(map(int, re.findall(r"\d+", dark_ink))), 600)
        self.assertNotEqual(ink, dark_ink)
        self.assertIn("invert", dark_image)
        as_drawn = self.ask("[...document.images].filter(i => getComputedStyle(i).filter === "
                            "'none').map(i => i.closest('figure').id)")
        self.assertEqual(as_drawn, ["figure-heatmap"])

    def test_contrast_is_enough_for_all_text_in_both_modes(self):
        """4.5 is what WCAG 2 asks for (level AA)."""
        self.show()
        for dark in (False, True):
            self.browser.look(1280, 900, dark=dark)
            found = self.ask(CONTRASTS)
            self.assertGreater(len(found), 8)
            poor = {pair: where for pair, where in found.items() if where[0] < 4.5}
            self.assertEqual(poor, {}, f"dark: {dark}")

    def test_the_keyboard_reaches_the_skip_link_first_and_sees_where_it_is(self):
        self.show()
        focus = ("(() => { const e = document.activeElement, b = e.getBoundingClientRect(); "
                 "return [e.getAttribute('href') || e.id, b.left >= 0 && b.width > 0, "
                 "getComputedStyle(e).outlineStyle]; })()")
        self.browser.press("Tab")
        self.assertEqual(self.ask(focus), ["#main", True, "solid"])
        self.browser.press("Enter")
        self.assertEqual(self.ask(focus)[0], "main")
        self.browser.press("Tab")
        self.assertEqual(self.ask("document.activeElement.closest('figure').id"),
                         "figure-small_multiples")
        self.assertEqual(self.ask(focus)[2], "solid")

    def test_a_screen_reader_hears_a_name_for_everything_it_stops_at(self):
        self.show()
        tree = self.browser.send("Accessibility.getFullAXTree")["nodes"]
        stops = [n for n in tree if not n.get("ignored") and n.get("role", {}).get("value") in
                 ("link", "button", "image", "region", "navigation", "table", "img")]
        self.assertGreater(len(stops), 60)
        nameless = [n for n in stops if not n.get("name", {}).get("value", "").strip()]
        self.assertEqual([n["role"]["value"] for n in nameless], [])

    def test_a_link_into_closed_source_opens_it(self):
        self.show()
        self.ask("document.querySelector('#bimodal a[href^=\"#event.c-L\"]').click()")
        shown = self.ask("""new Promise(done => requestAnimationFrame(() => {
            const line = document.querySelector(location.hash.replace('.', '\\\\.'));
            const box = line.getBoundingClientRect();
            done([line.closest("details").open, box.top >= 0 && box.bottom <= innerHeight,
                  line.textContent]); }))""")
        self.assertEqual(shown, [True, True, "static void drive(struct loop_peer *peer)"])

    def test_the_copy_button(self):
        self.show()
        press = ("(async () => { document.querySelector('#bimodal button').click(); "
                 "await new Promise(done => setTimeout(done, 50)); "
                 "return document.getElementById('said').textContent; })()")
        command = self.ask("document.querySelector('#bimodal .command code').textContent")
        self.assertTrue(command.startswith("./run_all.sh --workloads bimodal "))
        self.ask("navigator.clipboard.writeText = async text => { window.copied = text; }")
        self.assertEqual((self.ask(press), self.ask("window.copied")), ("copied", command))
        self.ask("navigator.clipboard.writeText = () => Promise.reject(); "
                 "document.execCommand = () => false")
        self.assertIn("selected", self.ask(press))
        self.assertEqual(self.ask("String(getSelection())"), command)

    def test_without_scripts_nothing_promises_what_it_cannot_do(self):
        self.browser.send("Emulation.setScriptExecutionDisabled", value=True)
        try:
            self.show()
            self.assertEqual(self.ask("[...document.querySelectorAll('button')]"
                                      ".filter(b => b.offsetParent).length"), 0)
        finally:
            self.browser.send("Emulation.setScriptExecutionDisabled", value=False)

    def test_nothing_moves_for_who_does_not_like_it(self):
        behaviour = "getComputedStyle(document.documentElement).scrollBehavior"
        self.show()
        self.assertEqual(self.ask(behaviour), "auto")
        self.browser.send("Emulation.setEmulatedMedia", features=[])
        self.assertEqual(self.ask(behaviour), "smooth")

    def test_paper(self):
        """A4 within margins of 15 mm is 180 x 267 mm: 680 x 1009 CSS pixels."""
        self.show(680, 1009, dark=True, media="print")
        self.assertEqual(self.colours()[::2], ["rgb(255, 255, 255)", "none"])
        hidden = self.ask("['nav', 'button', '#source', '.skip', 'details:not([open])'].filter("
                          "s => document.querySelector(s).offsetParent)")
        self.assertEqual(hidden, [])
        sizes = self.ask("[...document.images].map(i => [i.clientWidth, i.clientHeight])")
        self.assertEqual(len(sizes), len(FIGURES))
        for width, height in sizes:
            self.assertTrue(300 < width <= 680 and 200 < height <= 1009, sizes)
        needed, there = self.ask(WIDTHS)
        self.assertLessEqual(needed, there)
        paper = self.browser.pdf()
        pages = len(re.findall(rb"/Type /Page\b", paper))
        self.assertTrue(8 <= pages <= 40, pages)
        # Each figure is tagged with its alternative text; one more is drawn by the page itself.
        self.assertEqual(len(re.findall(rb"/Alt [(<]", paper)), len(FIGURES) + 1)


class MissingBrowser(unittest.TestCase):
    def test_it_says_how_to_get_one(self):
        program, browser.PROGRAM = browser.PROGRAM, "/nonexistent/chromium"
        self.addCleanup(setattr, browser, "PROGRAM", program)
        with self.assertRaisesRegex(browser.Failed, "deps.sh test installs"):
            browser.Browser()
