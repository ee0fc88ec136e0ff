"""Someone who uses the keyboard alone: goes from one thing to the next, always seeing where they are."""

from dataclasses import dataclass

from playwright.sync_api import Locator, Page

from tests.browser.pages import changing

# Where one is: what a sighted person sees of it, and whether it is on the screen at all.  A page gives
# the focus to what asks for it when it is next drawn, which may be after it was loaded.
HERE = """async () => {
    await new Promise(requestAnimationFrame);
    const here = document.activeElement;
    if (!here || here === document.body) return null;
    const box = here.getBoundingClientRect();
    const style = getComputedStyle(here);
    return {
        name: here.outerHTML.slice(0, 100),
        ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        seen: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    };
}"""
IS_HERE = """async one => {
    await new Promise(requestAnimationFrame);
    return one === document.activeElement;
}"""


class LostFocus(AssertionError):
    """Whoever uses a keyboard no longer knows where they are."""


@dataclass
class Keyboard:
    """Two hands on a keyboard, no mouse."""

    page: Page

    def press(self, key: str) -> None:
        """Press a key."""
        self.page.keyboard.press(key)

    def write(self, text: str) -> None:
        """Type a text where one is."""
        self.page.keyboard.type(text)

    def look(self) -> None:
        """Raise `LostFocus` unless what has the focus is on the screen, with a ring around it."""
        here = self.page.evaluate(HERE)
        if here is None or not (here["ring"] and here["seen"]):
            raise LostFocus(str(here))

    def is_at(self, target: Locator) -> bool:
        """Tell whether the focus is there."""
        found: bool = target.evaluate(IS_HERE)
        return found

    def go_to(self, target: Locator, *, most: int = 40) -> None:
        """Press Tab until the focus is there, looking at each step; once past the end, from the top."""
        ends = 0
        for _step in range(most):
            if self.is_at(target):
                self.look()
                return
            self.press("Tab")
            if self.page.evaluate(HERE) is None and ends == 0:
                ends += 1
            else:
                self.look()
        raise LostFocus(f"{target} is not reached in {most} steps")

    def enter(self, target: Locator) -> None:
        """Go to a link, a button or a field, and press Enter; come back when the page has answered."""
        self.go_to(target)
        with changing(self.page):
            self.press("Enter")
