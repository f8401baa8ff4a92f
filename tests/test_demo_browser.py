"""The page of `fastconv demo` in a headless Chromium: draws, clicks, presses keys, trains, and reads what it shows.

Skipped without selenium, Chromium and its driver. Contract: one browser for all tests; no timing is asserted.
"""

import re
import shutil

import numpy as np
import pytest
from helpers_demo import served

import fastconv
from fastconv import Input, Sequential, layers
from fastconv.cli.recipes import Recipe
from fastconv.datasets import mnist_mini
from fastconv.demo.session import Session

for name in ("selenium", "starlette", "uvicorn"):
    pytest.importorskip(name)
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("needs Debian's chromium and chromium-driver", allow_module_level=True)

from selenium import webdriver  # noqa: E402
from selenium.webdriver import ActionChains, Keys  # noqa: E402
from selenium.webdriver.common.actions.action_builder import ActionBuilder  # noqa: E402
from selenium.webdriver.common.actions.pointer_input import PointerInput  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

SEVEN = [(-0.5, -0.6), (0.4, -0.6), (0.2, -0.1), (-0.1, 0.7)]  # of half the pad, from its middle
ONE = [(0.05, -0.7), (0, 0), (-0.05, 0.7)]


@pytest.fixture(scope="module")
def session():
    """A network that reads most digits; one that is trained from the page takes long enough to be stopped."""
    fastconv.utils.set_random_seed(0)
    (x, y), _ = mnist_mini.load_data()
    model = Sequential([
        Input((28, 28, 1)), layers.Conv2D(8, 5, activation="relu"), layers.MaxPooling2D(), layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(), layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x[..., None] / np.float32(255), y, epochs=4, verbose=0)
    return Session(model, "digits.safetensors", Recipe("adam", 0.01, 200, 500, "falling", "fast"))


@pytest.fixture(scope="module")
def browser(session):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1360,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with served(session) as port, webdriver.Chrome(options, webdriver.ChromeService(DRIVER)) as browser:
        browser.port = port
        yield browser


@pytest.fixture
def page(browser):
    """The page, loaded anew, with its first sample seen; at the end it must have met no error."""
    browser.get(f"http://127.0.0.1:{browser.port}/")
    until(browser, lambda: shown(browser, "prediction") == "3")
    yield browser
    assert not [entry["message"] for entry in browser.get_log("browser")]
    assert not browser.find_element(By.ID, "trouble").is_displayed()


def until(browser, condition):
    WebDriverWait(browser, 20, 0.02).until(lambda _: condition())


def shown(browser, name):
    return browser.find_element(By.ID, name).text


def picture(browser, selector):
    """What a canvas shows, as text."""
    return browser.execute_script("return document.querySelector(arguments[0]).toDataURL()", selector)


def draw(browser, points, kind="mouse"):
    pad = browser.find_element(By.ID, "pad")
    actions = ActionBuilder(browser, mouse=PointerInput(kind, kind), duration=30)
    half = pad.size["width"] / 2
    for number, (x, y) in enumerate(points):
        actions.pointer_action.move_to(pad, int(x * half), int(y * half))
        if not number:
            actions.pointer_action.pointer_down()
    actions.pointer_action.pointer_up()
    actions.perform()


@pytest.mark.parametrize("kind", ["mouse", "touch"])
def test_a_drawn_digit_is_read_and_changes_every_picture(page, kind):
    before = [picture(page, f"#layers figure:nth-child({n}) canvas") for n in (1, 2, 3, 4)] + [picture(page, "#large")]
    draw(page, SEVEN, kind)
    until(page, lambda: shown(page, "prediction") == "7")
    best = page.find_element(By.CSS_SELECTOR, "#bars .best").text.split()
    assert best[0] == "7" and 20 < float(best[1]) <= 100
    after = [picture(page, f"#layers figure:nth-child({n}) canvas") for n in (1, 2, 3, 4)] + [picture(page, "#large")]
    assert all(old != new for old, new in zip(before, after))
    assert "ms from stroke to maps" in shown(page, "pace")


def test_what_pooling_keeps_is_marked(page):
    marked = picture(page, "#layers canvas")
    page.find_element(By.ID, "mark").click()
    until(page, lambda: picture(page, "#layers canvas") != marked)
    assert "max-pooling keeps the ringed pixel" in shown(page, "lens-text")
    assert page.find_element(By.ID, "pooled").is_displayed()


def test_samples_by_mouse_and_by_keys_and_clear(page):
    page.find_element(By.CSS_SELECTOR, "[aria-label='Sample 0']").click()
    until(page, lambda: shown(page, "prediction") == "0")
    ActionChains(page).send_keys("1").perform()
    until(page, lambda: shown(page, "prediction") == "1")
    page.find_element(By.ID, "clear").click()
    until(page, lambda: shown(page, "prediction") == "–" and shown(page, "surety") == "draw a digit")
    draw(page, ONE)
    until(page, lambda: shown(page, "prediction") == "1")
    ActionChains(page).send_keys("c").perform()
    until(page, lambda: shown(page, "prediction") == "–")


def test_a_map_is_chosen_by_click_and_by_arrow_keys(page):
    canvas = page.find_elements(By.CSS_SELECTOR, "#layers canvas")[2]
    ActionChains(page).move_to_element_with_offset(
        canvas, -canvas.size["width"] // 2 + 5, -canvas.size["height"] // 2 + 5
    ).click().perform()
    until(page, lambda: shown(page, "lens-text").startswith("Map 1 of 32, Conv2D, 10 × 10"))
    canvas.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert shown(page, "lens-text").startswith("Map 3 of 32, Conv2D") and canvas.get_attribute("aria-valuenow") == "3"
    canvas.send_keys(Keys.END)
    assert shown(page, "lens-text").startswith("Map 32 of 32")


def test_a_training_is_watched_and_stopped(page):
    filters = picture(page, "#filters")
    assert shown(page, "status") == "From the file digits.safetensors."
    page.find_element(By.ID, "train").click()
    told = re.compile(r"Training on 4,000 digits, epoch (\d+) of 500\.")
    until(
        page, lambda: (now := told.search(shown(page, "status"))) and int(now[1]) > 1
    )  # a page may miss the second one
    assert page.find_element(By.ID, "curve").is_displayed() and picture(page, "#filters") != filters
    assert not page.find_element(By.ID, "train").is_displayed()
    page.find_element(By.ID, "stop").click()
    until(page, lambda: shown(page, "status").startswith("Stopped after"))
    assert page.find_element(By.ID, "train").is_displayed()


@pytest.mark.parametrize("width", [360, 800, 1360])
def test_nothing_is_wider_than_the_window(page, width):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    page.refresh()
    until(page, lambda: shown(page, "prediction") != "–" and page.find_elements(By.CSS_SELECTOR, "#layers canvas"))
    assert page.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_everything_is_named_for_who_does_not_see_it(page):
    nameless = page.execute_script(
        "return [...document.querySelectorAll('button, canvas, input, progress')].filter((one) => one.checkVisibility() && "
        "!one.closest('#samples button') && !one.ariaLabel && !one.textContent.trim() && !one.labels?.length)"
        ".map((one) => one.outerHTML)"
    )
    assert nameless == []
    assert page.find_element(By.ID, "prediction").get_attribute("aria-live") == "polite"
