"""What a person does with the page, in a real browser. Run by scripts/test.d/browser.sh."""

import re
import sys
import unittest

from playwright.sync_api import expect

from browser_case import BrowserCase
from line_tests import WaitingInLine
from service import ADMIN

__all__ = ["WaitingInLine"]


class Buying(BrowserCase):
    def test_hold_and_confirm_by_mouse(self):
        page = self.open()
        self.seat(page, "C5").click()
        self.expect_seat(page, "C5", "yours")
        expect(page.locator(".hold .clock")).to_have_text(re.compile(r"^[23]:\d\d$"))
        self.shot(page, "held")
        page.get_by_role("button", name="Confirm: Seat C5").click()
        expect(page.locator(".hold.booked")).to_contain_text("Seat C5")
        expect(self.seat(page, "C5")).to_have_attribute("aria-label", "Seat C5, booked")
        self.assertEqual(self.service.item("concert")["sold"], 1)
        # Somebody else sees it sold.
        self.expect_seat(self.open(), "C5", "sold")

    def test_hold_and_release_by_keyboard(self):
        page = self.open()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Go to the seats")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(self.seat(page, "A1")).to_be_focused()
        for key in ["ArrowDown", "ArrowDown", "ArrowRight", "End", "ArrowLeft"]:
            page.keyboard.press(key)
        expect(self.seat(page, "C11")).to_be_focused()
        page.keyboard.press("Enter")
        self.expect_seat(page, "C11", "yours")
        expect(self.seat(page, "C11")).to_be_focused()
        expect(page.locator("#announcer")).to_contain_text("Seat C11 is held for you")
        for _ in range(3):
            page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Release: Seat C11")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator(".hold")).to_have_count(0)
        self.expect_seat(page, "C11", "free")
        expect(page.locator("#holds-title")).to_be_focused()

    def test_two_browsers_race_for_one_seat(self):
        pages = [self.open(), self.open()]
        # Both before either can see what the other does.
        clicks = "document.querySelector('#map [data-seat=\"D6\"]').click()"
        for page in pages:
            page.evaluate(f"void setTimeout(() => {clicks}, 50)")
        notices = [page.locator(".notice") for page in pages]
        expect(pages[0].locator(".hold").or_(notices[0]).first).to_be_visible()
        expect(pages[1].locator(".hold").or_(notices[1]).first).to_be_visible()
        winners = [page for page in pages if page.locator(".hold").count() == 1]
        self.assertEqual(len(winners), 1)
        loser = pages[1 - pages.index(winners[0])]
        expect(loser.locator(".notice")).to_contain_text("taken: D6")
        self.expect_seat(loser, "D6", "held")
        self.shot(loser, "told")
        offer = loser.get_by_role("button", name=re.compile("^Take D[57] instead$"))
        offer.click()
        expect(loser.locator(".hold")).to_contain_text(re.compile("Seat D[57]"))
        self.assertEqual(self.service.item("concert")["held"], 2)

    def test_double_click_is_one_wish(self):
        page = self.open()
        self.seat(page, "E3").dblclick()
        self.expect_seat(page, "E3", "yours")
        page.locator("#hold-poster").dblclick()
        expect(page.locator(".hold")).to_have_count(2)
        expect(page.locator("#hold-poster")).to_be_enabled()
        self.assertEqual(self.service.item("concert")["held"], 1)
        self.assertEqual(self.service.item("poster")["held"], 1)
        expect(page.locator(".notice")).to_have_count(0)

    def test_reload_in_the_middle_of_a_hold(self):
        page = self.open()
        self.seat(page, "F4").click()
        self.expect_seat(page, "F4", "yours")
        page.reload()
        self.expect_seat(page, "F4", "yours")
        expect(page.locator(".hold .clock")).to_have_text(re.compile(r"^2:\d\d$|^3:00$"))
        page.get_by_role("button", name="More time: Seat F4").click()
        expect(page.locator("#announcer")).to_contain_text("more")

    def test_reload_while_the_answer_is_missing(self):
        page = self.open()
        keys = []

        def lose_answer(route):
            if route.request.method != "POST":
                return route.continue_()
            keys.append(route.request.headers["idempotency-key"])
            route.fetch()
            return route.abort()

        page.route("**/v1/reservations", lose_answer)
        self.seat(page, "G7").click()
        expect(page.locator(".notice")).to_contain_text("nothing is reserved twice")
        self.shot(page, "no-answer")
        page.unroute("**/v1/reservations")
        page.on("request", lambda request: keys.append(request.headers.get("idempotency-key")) if request.method == "POST" else None)
        page.reload()
        self.expect_seat(page, "G7", "yours")
        expect(page.locator(".hold")).to_have_count(1)
        self.assertEqual(len(set(keys)), 1)
        self.assertGreaterEqual(len(keys), 2)
        self.assertEqual(self.service.item("concert")["held"], 1)

    def test_honest_scarcity(self):
        for quantity in (12, 12):
            self.service.buy_elsewhere(item="poster", quantity=quantity)
        page = self.open()
        expect(page.locator("#poster-left")).to_have_text("0")
        expect(page.locator("#poster-note")).to_contain_text("24 are held at the moment")
        page.locator("#hold-poster").click()
        expect(page.locator(".notice")).to_contain_text("may become free")
        self.shot(page, "scarce")
        page.get_by_role("button", name=re.compile("^Wait for it")).click()
        expect(page.locator(".notice.calm")).to_contain_text("Waiting for Signed poster")

    def test_service_restarted_under_an_open_page(self):
        page = self.open()
        self.seat(page, "B2").click()
        self.expect_seat(page, "B2", "yours")
        self.service.stop()
        expect(page.locator("#live-text")).to_have_text("No connection, trying again")
        self.seat(page, "B3").click()
        expect(page.locator(".notice")).to_contain_text("No answer for Seat B3")
        self.shot(page, "away")
        self.service.start()
        expect(page.locator("#live-text")).to_have_text("Live")
        self.expect_seat(page, "B3", "yours")
        self.expect_seat(page, "B2", "yours")
        expect(page.locator(".notice")).to_have_count(0)
        self.assertEqual(self.service.item("concert")["held"], 2)


class ShortHolds(BrowserCase):
    arguments = ("--hold", "4s")

    def test_countdown_to_expiry(self):
        page = self.open()
        self.seat(page, "H8").click()
        self.expect_seat(page, "H8", "yours")
        expect(page.locator(".hold.soon .clock")).to_have_text("0:01")
        self.shot(page, "soon")
        expect(page.locator(".notice")).to_contain_text("ran out")
        expect(page.locator(".hold")).to_have_count(0)
        self.expect_seat(page, "H8", "free")
        page.get_by_role("button", name="Hold Seat H8 again").click()
        self.expect_seat(page, "H8", "yours")


    def test_request_repeated_after_its_hold_is_over(self):
        page = self.open()

        def lose_answer(route):
            if route.request.method == "POST":
                route.fetch()
                route.abort()
            else:
                route.continue_()

        page.route("**/v1/reservations", lose_answer)
        self.seat(page, "A1").click()
        self.expect_seat(page, "A1", "pending")
        # The other page sees it held, and then free again.
        other = self.open()
        self.expect_seat(other, "A1", "held")
        self.expect_seat(other, "A1", "free")
        page.unroute("**/v1/reservations")
        page.reload()
        expect(page.locator(".notice")).to_contain_text("ran out")
        expect(page.locator(".hold")).to_have_count(0)
        self.expect_seat(page, "A1", "free")


class Looking(BrowserCase):
    def test_small_screen(self):
        page = self.open(viewport={"width": 360, "height": 740}, has_touch=True)
        self.seat(page, "A12").tap()
        self.expect_seat(page, "A12", "yours")
        self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), 360)
        box = self.seat(page, "A11").bounding_box()
        self.assertGreaterEqual(min(box["width"], box["height"]), 24)
        for button in page.locator(".hold button").all():
            self.assertGreaterEqual(button.bounding_box()["height"], 44)
        self.check_accessibility(page, "360 px")

    def test_korean(self):
        page = self.open(locale="ko-KR")
        expect(page.locator("html")).to_have_attribute("lang", "ko")
        expect(page.locator("h1")).to_have_text("좌석을 고르세요. 결정하는 동안 맡아 드립니다.")
        expect(page.locator("#seats-title")).to_have_text("현악의 밤")
        self.service.buy_elsewhere(item="poster", quantity=24)
        page.locator("#hold-poster").click()
        expect(page.locator(".notice")).to_contain_text("다른 고객이 예약 중인")
        self.seat(page, "A1").click()
        expect(self.seat(page, "A1")).to_have_attribute("aria-label", "A1 좌석, 내 좌석")
        # No English is left where a buyer reads.
        texts = page.locator("[data-t]").all_inner_texts()
        self.assertEqual([text for text in texts if re.search("[A-Za-z]{3}", text.replace("Enter", ""))], [])

    def test_accessibility(self):
        for scheme in ("light", "dark"):
            page = self.open(color_scheme=scheme)
            self.check_accessibility(page, f"{scheme}, empty")
            taken = "A2" if scheme == "light" else "A3"
            self.service.buy_elsewhere(item="concert", seat=taken)
            for label in ("B1" if scheme == "light" else "B2", "C1" if scheme == "light" else "C2"):
                self.seat(page, label).click()
                self.expect_seat(page, label, "yours")
            page.locator(".hold .primary").first.click()
            expect(page.locator(".hold.booked")).to_have_count(1)
            self.expect_seat(page, taken, "held")
            page.evaluate("sessionStorage.clear()")
            self.check_accessibility(page, f"{scheme}, with reservations")
            operator = self.open(f"/operator#{ADMIN}", color_scheme=scheme)
            expect(operator.locator("#items tr").first).to_be_visible()
            self.check_accessibility(operator, f"{scheme}, operator")


class Operating(BrowserCase):
    def test_operator_sees_a_rush(self):
        page = self.open("/operator")
        page.get_by_label("Token").fill("guessed")
        page.get_by_role("button", name="Enter").click()
        expect(page.locator("#login-error")).to_contain_text("not the one")
        page.get_by_label("Token").fill(ADMIN)
        page.get_by_role("button", name="Enter").click()
        expect(page.locator("#invariant-text")).to_have_text("All hold")
        self.assertNotIn(ADMIN, page.url)
        page.get_by_label("Units").fill("20")
        page.get_by_label("Buyers").fill("150")
        page.get_by_label("Seconds").fill("1")
        page.get_by_role("button", name="Start a rush").click()
        expect(page.locator("#rush-result .zero")).to_have_count(4, timeout=60_000)
        expect(page.locator("#rush-result")).to_contain_text("20")
        row = page.get_by_role("row", name=re.compile("Drop, locked"))
        expect(row).to_contain_text("20 sold, 0 held, 0 available")
        self.shot(page, "rush")

    def test_operator_without_administration(self):
        page = self.open("/operator#wrong")
        expect(page.locator("#login-error")).to_contain_text("not the one")
        expect(page.locator("#board")).to_be_hidden()


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=2).result
    bad = {test.id() for test, _ in result.failures + result.errors}
    sys.stderr.flush()
    print(f"{result.testsRun - len(bad)} passed, {len(bad)} failed")
    sys.exit(1 if bad or not result.testsRun else 0)
