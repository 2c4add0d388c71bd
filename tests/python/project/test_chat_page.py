#!/usr/bin/python3
"""docs/chat.html in two real browsers, against every server that can push."""

from pathlib import Path
import time
import unittest

import browser
import harness

PAGE = Path(__file__).resolve().parents[3] / "docs" / "chat.html"


class ChatPage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browsers = []
        for _ in range(2):
            cls.browsers.append(browser.Browser())
            cls.addClassCleanup(cls.browsers[-1].close)

    def shows(self, page, script, wanted):
        """Wait until the page's expression has this value."""
        until = time.monotonic() + browser.PATIENCE_S
        while (found := page.evaluate(script)) != wanted:
            self.assertLess(time.monotonic(), until, f"{script}: {found!r}, not {wanted!r}")
            time.sleep(0.02)

    def write(self, page, text):
        page.evaluate(f"document.getElementById('text').value = {text!r},"
                      "document.querySelector('button').click()")

    def talk(self, server):
        one, other = self.browsers
        messages = "[...document.querySelectorAll('li')].map(e => e.textContent).join('|')"
        state = "document.getElementById('state').textContent"
        for page in self.browsers:
            page.look(800, 600)
            page.open(PAGE, f"#{server.port}")
            self.shows(page, state, f"connected to port {server.port}, room lobby")
        self.write(one, "hello, other tab")
        self.shows(other, messages, "hello, other tab")
        self.write(other, "\u00e4\u00f6\u00fc \U0001f600")
        for page in self.browsers:
            self.shows(page, messages, "hello, other tab|\u00e4\u00f6\u00fc \U0001f600")
            self.assertEqual(page.complaints(), [])

    def test_a_message_from_one_appears_in_the_other(self):
        pushing = [target for target in harness.find_targets() if target.about["push"]]
        self.assertGreaterEqual(len(pushing), 10)
        for target in pushing:
            with self.subTest(server=target.name):
                server = harness.Server(target)
                try:
                    self.talk(server)
                finally:
                    server.stop()
                self.shows(self.browsers[0], "document.getElementById('state').textContent",
                           "closed (1001)")

    def test_a_server_that_cannot_push_says_so(self):
        target = next(target for target in harness.find_targets() if target.name == "thread_pool")
        server = harness.Server(target)
        page = self.browsers[0]
        page.open(PAGE, f"#{server.port}")
        self.shows(page, "document.getElementById('state').textContent.slice(0, 4)", "501:")
        server.stop()
