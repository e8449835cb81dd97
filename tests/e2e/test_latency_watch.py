"""The stop watch of `benchmarks.latency` starts with the key that it names, not with an earlier one like it."""

from __future__ import annotations

from typing import Any

from benchmarks.latency import WATCH_BARS, seen

EARLIER_MS = 2_000


def test_a_label_is_timed_from_its_last_letter(page: Any) -> None:
    page.set_content('<input><div class="bars"></div>')
    page.evaluate("window.addEventListener('keydown', () => window.pressed = performance.now(), true)")
    page.locator(".bars").evaluate(WATCH_BARS, ["mum", "m", 2])
    page.locator("input").focus()
    page.keyboard.press("m")
    page.wait_for_timeout(EARLIER_MS)
    page.keyboard.press("u")
    page.keyboard.press("m")
    page.locator(".bars").evaluate("(bars) => bars.innerHTML = '<span class=name>mum</span>'")
    latency = seen(page)
    assert latency is not None
    assert 0 <= latency <= page.evaluate("performance.now() - window.pressed")
