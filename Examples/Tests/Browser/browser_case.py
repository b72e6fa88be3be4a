"""What all tests in a browser share."""

import os
import re
import unittest

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from service import Service

OUTPUT = os.environ["BROWSER_OUTPUT"]
LIMIT = 15_000
expect.set_options(timeout=LIMIT)


class BrowserCase(unittest.TestCase):
    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.playwright = sync_playwright().start()
        cls.browser = cls.playwright.chromium.launch(
            executable_path=os.environ["CHROMIUM"], args=["--no-sandbox", "--disable-dev-shm-usage"])

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.playwright.stop()

    def setUp(self):
        self.service = Service(*self.arguments)
        self.addCleanup(self.service.close)
        self.contexts = []
        self.problems = []

    def tearDown(self):
        for number, context in enumerate(self.contexts):
            for page in context.pages:
                self.shot(page, f"end-{number}")
            context.close()
        self.assertEqual(self.problems, [])

    def open(self, path="/", **options):
        """A page of somebody who was never here before. Neither scripts nor requests may go wrong unseen."""
        options = {"locale": "en-US", "viewport": {"width": 1180, "height": 900}, **options}
        context = self.browser.new_context(**options)
        context.set_default_timeout(LIMIT)
        self.contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.check_address(request.url))
        page.goto(self.service.url + path)
        if path == "/":
            expect(page.locator("#live")).to_have_class(re.compile("on"))
            expect(self.seat(page, "A1")).to_be_visible()
        return page

    def check_address(self, url):
        if not url.startswith((self.service.url, "data:")):
            self.problems.append(f"a request to somebody else: {url}")

    def shot(self, page, name):
        test = self.id().rsplit(".", 1)[1].removeprefix("test_")
        page.screenshot(path=f"{OUTPUT}/{test}-{name}.png", full_page=True)

    def seat(self, page, label):
        return page.locator(f'#map [data-seat="{label}"]')

    def expect_seat(self, page, label, state):
        expect(self.seat(page, label)).to_have_class(re.compile(rf"\b{state}\b"))

    def check_accessibility(self, page, name):
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
        serious = [
            f'{violation["id"]}: {violation["help"]}: {violation["nodes"][0]["html"][:200]}'
            for violation in found.response["violations"] if violation["impact"] in ("serious", "critical")
        ]
        self.assertEqual(serious, [], name)
