"""What a person sees who waits in a line."""

import re

from playwright.sync_api import expect

from browser_case import BrowserCase


class WaitingInLine(BrowserCase):
    """Nothing is decided before the service is started again as one that decides."""

    arguments = ("--item-strategy", "poster=queued", "--no-line-owner")

    def line_up(self, page):
        page.locator("#hold-poster").click()
        expect(page.locator("#line")).to_be_visible()

    def decide(self):
        self.service.stop()
        self.service.arguments = self.arguments[:2]
        self.service.start()

    def position(self, page):
        return page.locator("#line .position")

    def test_position_moves_to_the_hold(self):
        self.service.line_up_elsewhere(5, item="poster")
        page = self.open()
        self.line_up(page)
        expect(self.position(page)).to_have_text("5 ahead of you")
        expect(page.locator("#line .kept")).to_have_text(re.compile(r"^You may close this tab until \d\d:\d\d\."))
        expect(page.locator("#line .estimate")).to_have_text("How long it takes is not known yet.")
        self.shot(page, "in-line")
        self.check_accessibility(page, "in line")
        self.service.let_pass(3)
        expect(self.position(page)).to_have_text("2 ahead of you")
        expect(page.locator("#line progress")).to_have_js_property("value", 4)
        self.service.let_pass(2)
        expect(self.position(page)).to_have_text("You are next")
        self.decide()
        expect(page.locator(".hold")).to_contain_text("Signed poster", timeout=60_000)
        expect(page.locator("#line")).to_be_hidden()
        self.assertEqual(self.service.item("poster")["held"], 6)

    def test_leave_the_line(self):
        page = self.open()
        self.line_up(page)
        page.get_by_role("button", name="Leave the line: Signed poster").click()
        expect(page.locator(".notice.calm")).to_contain_text("You left the line")
        expect(page.locator("#line")).to_be_hidden()
        page.reload()
        expect(page.locator("#poster-left")).to_have_text("24")
        expect(page.locator("#line")).to_be_hidden()

    def test_leave_the_line_heard_before_it_is_answered(self):
        """Listeners are told of it at once; the answer to whoever asked may come later."""
        page = self.open()
        self.line_up(page)
        answers = []

        def keep_back(route):
            if route.request.method == "DELETE":
                answers.append((route, route.fetch()))
            else:
                route.fallback()

        page.route("**/v1/requests/*", keep_back)
        page.get_by_role("button", name="Leave the line: Signed poster").click()
        expect(page.locator(".notice.calm")).to_contain_text("You left the line")
        expect(page.locator("#line")).to_be_hidden()
        with page.expect_response(lambda response: response.request.method == "DELETE"):
            for route, response in answers:
                route.fulfill(response=response)
        self.assertEqual(len(answers), 1)
        expect(page.locator(".notice")).to_have_count(1)

    def test_reload_while_waiting(self):
        self.service.line_up_elsewhere(1, item="poster")
        page = self.open()
        self.line_up(page)
        expect(self.position(page)).to_have_text("1 ahead of you")
        page.reload()
        expect(self.position(page)).to_have_text("1 ahead of you")
        # Closed, decided meanwhile, and opened again.
        url = page.url
        page.goto("about:blank")
        self.decide()
        page.goto(url)
        expect(page.locator(".hold")).to_have_count(1, timeout=60_000)
        self.assertEqual(self.service.item("poster")["held"], 2)

    def test_sold_out_in_line(self):
        self.service.line_up_elsewhere(24, item="poster")
        page = self.open(locale="ko-KR", viewport={"width": 360, "height": 740})
        self.line_up(page)
        expect(self.position(page)).to_have_text("앞에 24명")
        self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), 360)
        self.check_accessibility(page, "in line, 360 px")
        self.decide()
        expect(page.locator(".notice")).to_contain_text("다른 고객이 예약 중인", timeout=60_000)
        expect(page.locator("#line")).to_be_hidden()
        self.assertEqual(self.service.item("poster")["held"], 24)
