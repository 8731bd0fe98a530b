"""The browser that the tests of the page share."""

import pytest

from tests.support.browser import CHROMIUM, MISSING, Browser


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip(MISSING)
    browser = Browser()
    yield browser
    browser.close()
