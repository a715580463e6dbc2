"""The page, in a real browser before a real server."""

import re
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from waiting import until

from fdcn.runtime.pipeline import Pipeline

pytestmark = pytest.mark.large
playwright = pytest.importorskip("playwright.sync_api", reason="the page was not tested: playwright is not installed")
expect = playwright.expect

SOON = 30_000
"""Milliseconds after which a test is stuck."""
LONG = "#label=0&size=160x160&seed=3&steps=60&solver=euler"
"""Settings that take seconds: time to look at it,"""
ENDLESS = LONG.replace("steps=60", "steps=250")
"""and to do something meanwhile."""
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        try:
            opened = running.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"the page was not tested: Chromium does not start: {error.message.splitlines()[0]}")
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def served(browser, serving, toy_bundle):
    """A server whose previews and progress can be seen."""
    with serving(toy_bundle, max_size=(512, 512), max_images=6) as running:
        yield running


@pytest.fixture(scope="module")
def pipe(toy_bundle):
    """The oracle."""
    with Pipeline(toy_bundle) as opened:
        yield opened


class Visit:
    """A page that somebody opened, and what went wrong on it."""

    def __init__(self, browser, url, **context):
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(SOON)
        self.faults, self.hosts = [], set()
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.faults.append(said.text))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        self.page.goto(url)


@pytest.fixture
def visit(browser):
    """`visit(url, **context)` opens the page as a new visitor."""
    opened = []

    def open(url, **context):
        made = Visit(browser, url, **context)
        opened.append(made)
        expect(made.page.get_by_role("form", name="Request")).to_be_visible(timeout=SOON)
        return made

    yield open
    for one in opened:
        one.context.close()


@pytest.fixture
def page(visit, served):
    """The page of `served`; it must have no fault in the end, and have asked no other host."""
    made = visit(served.url)
    yield made.page
    assert made.faults == []
    assert made.hosts <= {urlsplit(served.url).netloc, ""}  # pictures in data: and blob: have none


def generate(page):
    """Press the button and wait for the pictures; gives the newest article."""
    made = page.locator("article").count()
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("article:not([aria-busy])")).to_have_count(made + 1, timeout=SOON)
    return page.locator("article").first


def downloaded(page, figure):
    """A picture by its download link: (name of the file, uint8 [H, W])."""
    with page.expect_download() as waiting:
        figure.get_by_role("link", name="Download").click()
    with Image.open(waiting.value.path()) as picture:
        return waiting.value.suggested_filename, np.asarray(picture)


def fill(page, **fields):
    for label, value in fields.items():
        page.get_by_label(label.replace("_", " "), exact=True).fill(str(value))


def test_a_picture_is_the_pipelines(page, pipe):
    page.get_by_label("Disc").uncheck()
    page.get_by_label("Étoile").check()
    fill(page, Seed=7, Steps=9, Guidance=2)
    article = generate(page)
    expect(article.get_by_role("img", name="Étoile, 8 by 8 pixels, seed 7")).to_be_visible()
    expect(article).to_contain_text("8 × 8 · neural, 9 steps · guidance 2 · seed 7 · sampled in")
    expect(page.get_by_role("status")).to_contain_text("The picture is done")
    expect(page.locator("#latency")).to_contain_text("s")
    name, made = downloaded(page, article.locator("figure"))
    assert name == "étoile-8x8-seed7.png"
    np.testing.assert_array_equal(made, pipe(["Étoile"], seed=7, steps=9, guidance=2.0).pixels[0, :, :, 0])


def test_several_classes_and_pictures_of_each(page, pipe):
    page.get_by_label("Ring").check()
    fill(page, Seed=40, Per_class=2)
    expect(page.get_by_role("button", name="Generate 4 pictures")).to_be_visible()
    figures = generate(page).locator("figure")
    captions = ["Disc seed 40", "Disc seed 41", "Ring seed 42", "Ring seed 43"]
    expect(figures.locator("figcaption")).to_have_text(captions)
    want = pipe(["Disc", "Ring"], count=2, seed=40).pixels
    for i in range(4):
        np.testing.assert_array_equal(downloaded(page, figures.nth(i))[1], want[i, :, :, 0])


def test_the_size_is_changed_by_hand_and_by_a_usual_one(page):
    fill(page, Width=21, Height=13)
    assert downloaded(page, generate(page).locator("figure"))[1].shape == (13, 21)
    preset = page.get_by_role("group", name="Usual sizes").get_by_role("button", name="16 × 8")
    preset.click()
    expect(preset).to_have_attribute("aria-pressed", "true")
    assert downloaded(page, generate(page).locator("figure"))[1].shape == (8, 16)


def test_the_same_seed_at_another_size(page, pipe):
    page.get_by_label("Ring").check()
    fill(page, Seed=11)
    generate(page)
    figure = page.locator("article").last.locator("figure").nth(1)
    figure.get_by_text("Same seed, new size").click()
    figure.get_by_role("button", name="8 × 16").click()
    expect(page.locator("article:not([aria-busy])")).to_have_count(2, timeout=SOON)
    name, made = downloaded(page, page.locator("article").first.locator("figure"))
    assert name == "ring-8x16-seed12.png"
    np.testing.assert_array_equal(made, pipe(["Ring"], seed=12, size=(8, 16)).pixels[0, :, :, 0])
    figure.get_by_role("link", name="another").click()
    expect(page.get_by_label("Seed")).to_have_value("12")
    expect(page.get_by_label("Width")).to_be_focused()


@pytest.mark.parametrize(("format", "ending"), [("WebP", "webp"), ("JPEG", "jpeg")])
def test_other_files(page, format, ending):
    page.get_by_text("More", exact=True).click()
    page.get_by_label("File").select_option(format)
    name, made = downloaded(page, generate(page).locator("figure"))
    assert name.endswith(f".{ending}")
    assert made.shape[:2] == (8, 8)


def test_progress_and_previews_are_seen(visit, served):
    page = visit(served.url + LONG).page
    page.get_by_role("button", name="Generate").click()
    article = page.locator("article")
    expect(article.locator("img[src^='data:image/png']")).to_be_visible(timeout=SOON)
    bar = article.get_by_role("progressbar", name="Progress")
    first = float(bar.get_attribute("value"))
    expect(article.locator(".doing")).to_have_text(re.compile(r"^\d+ of 60$"))
    expect(page.get_by_role("status")).to_have_text(re.compile(r"^\d+ of 60 steps$"))
    expect(bar).not_to_have_attribute("value", str(first))
    expect(page.locator("article:not([aria-busy]) img")).to_be_visible(timeout=SOON)
    assert downloaded(page, article.locator("figure"))[1].shape == (160, 160)


@pytest.mark.parametrize("how", ["Escape", "button"])
def test_cancelling_stops_the_server_too(visit, served, how):
    page = visit(served.url + ENDLESS).page
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("article img")).to_be_visible(timeout=SOON)
    assert served.generator.waiting == 1
    if how == "Escape":
        page.keyboard.press("Escape")
    else:
        page.get_by_role("button", name="Cancel").click()
    expect(page.locator("article")).to_have_count(0)
    expect(page.get_by_role("status")).to_have_text("Cancelled")
    until(lambda: served.generator.waiting == 0, SOON / 1000)
    page.goto(served.url)
    page.reload()
    generate(page)


def test_several_requests_at_a_time_and_a_full_queue(visit, serving, toy_bundle):
    with serving(toy_bundle, max_queue=2, max_images=2) as server:
        page = visit(server.url + ENDLESS).page
        button, made = page.get_by_role("button", name="Generate"), page.locator("article")
        for running in (1, 2):
            button.click()
            expect(made).to_have_count(running)
        expect(page.locator("#queue")).to_have_text("2 pictures", timeout=SOON)
        button.click()
        expect(page.get_by_role("alert")).to_contain_text("queue")
        expect(made).to_have_count(2)
        for left in (1, 0):
            page.keyboard.press("Escape")
            expect(made).to_have_count(left)
        expect(page.locator("#queue")).to_have_text("0 pictures", timeout=SOON)


@pytest.mark.parametrize(
    ("fields", "said", "marked"),
    [({"Width": 4000}, "4000x8", "Width"), ({"Per_class": 7}, "7", "Per class"), ({"Steps": 99}, "steps", "Steps")],
)
def test_an_error_is_said_and_its_field_marked(visit, served, fields, said, marked):
    page = visit(served.url).page
    fill(page, **fields)
    page.get_by_role("button", name="Generate").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(said)
    expect(page.locator("article")).to_have_count(0)
    field = page.get_by_label(marked, exact=True)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    page.get_by_role("button", name="Dismiss").click()
    expect(alert).to_be_empty()
    fill(page, Width=8, Per_class=1, Steps=10)
    generate(page)
    expect(field).not_to_have_attribute("aria-invalid", "true")


def test_without_a_class_nothing_is_asked(page):
    page.get_by_role("button", name="None").click()
    page.get_by_role("button", name="Generate").click()
    first = page.get_by_label("Disc")
    assert first.evaluate("(box) => box.validationMessage") == "Choose a class."
    expect(page.locator("article")).to_have_count(0)
    first.check()
    generate(page)


def test_a_server_that_is_gone(browser, serving, toy_bundle, visit):
    with serving(toy_bundle) as server:
        page = visit(server.url).page
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_role("alert")).to_have_text("The server cannot be reached.")
    expect(page.locator("#state")).to_have_text("no connection", timeout=SOON)


def test_the_address_keeps_the_settings(visit, served):
    page = visit(served.url + "#label=1&label=2&size=12x10&seed=5&count=2&steps=4&guidance=1.5&solver=euler").page
    expect(page.get_by_label("Ring")).to_be_checked()
    expect(page.get_by_label("Disc")).not_to_be_checked()
    generate(page)
    page.reload()
    again = generate(page)
    expect(again).to_contain_text("12 × 10 · euler, 4 steps · guidance 1.5 · seed 5")
    captions = ["Ring seed 5", "Ring seed 6", "Étoile seed 7", "Étoile seed 8"]
    expect(again.locator("figcaption")).to_have_text(captions)
    fill(page, Width=8)
    again.get_by_role("link", name="link to these settings").click()
    expect(page.get_by_label("Width")).to_have_value("12")


def test_by_keyboard_alone(page):
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="API")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_label("Ring")).to_be_checked()
    expect(page.get_by_label("Disc")).not_to_be_checked()
    outline = page.get_by_label("Ring").evaluate("(box) => getComputedStyle(box).outlineStyle")
    assert outline == "solid"
    for _ in range(4):
        page.keyboard.press("Tab")
    expect(page.get_by_label("Width")).to_be_focused()
    page.keyboard.type("14")
    page.keyboard.press("Enter")
    picture = page.get_by_role("img", name=re.compile("^Ring, 14 by 8 pixels"))
    expect(picture).to_be_visible(timeout=SOON)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.textContent") == "Download":
            break
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    assert waiting.value.suggested_filename.startswith("ring-14x8-seed")


def test_everything_has_a_name_and_a_role(page):
    generate(page)
    expect(page.locator("main")).to_match_aria_snapshot("""
      - form "Request":
        - group "Classes":
          - checkbox "Disc" [checked]
          - checkbox "Ring"
          - checkbox "Étoile"
        - group "Size in pixels":
          - spinbutton "Width": "8"
          - spinbutton "Height": "8"
          - group "Usual sizes":
            - button "8 × 8" [pressed]
        - spinbutton "Seed"
        - checkbox "New each time" [checked]
        - spinbutton "Per class": "1"
        - spinbutton "Steps": "10"
        - spinbutton "Guidance": "4"
        - button "Generate"
      - region "Pictures":
        - heading "Pictures" [level=2]
        - article:
          - heading "Disc" [level=3]
          - figure:
            - img /Disc, 8 by 8 pixels, seed \\d+/
            - paragraph:
              - link "Download"
    """)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(visit, served, scheme):
    """WCAG's contrast of 4.5 for every colour of text on every ground that it has."""
    page = visit(served.url, color_scheme=scheme).page
    names = ("ground", "panel", "text", "faint", "accent", "on-accent", "wrong")
    values = page.evaluate(
        "(names) => names.map((n) => getComputedStyle(document.documentElement).getPropertyValue(`--${n}`).trim())",
        list(names),
    )
    colour = dict(zip(names, map(luminance, values), strict=True))
    for text in ("text", "faint", "accent"):
        for ground in ("ground", "panel"):
            assert contrast(colour[text], colour[ground]) >= 4.5, (text, ground)
    assert contrast(colour["on-accent"], colour["accent"]) >= 4.5
    assert contrast(colour["wrong"], colour["ground"]) >= 3  # an edge


def luminance(colour):
    """Relative luminance of #rgb or #rrggbb, as WCAG 2 defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    levels = np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def contrast(a, b):
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


def test_nothing_is_cut_off_on_a_phone(visit, served):
    page = visit(served.url, **PHONE).page
    fill(page, Width=300, Height=8)
    generate(page)
    assert page.evaluate("() => document.documentElement.scrollWidth") == PHONE["viewport"]["width"]
    # What a finger has to hit is at least 32 pixels high.
    heights = page.locator("button:visible, #classes label, input:not([type=checkbox]):visible").evaluate_all(
        "(all) => all.map((one) => one.getBoundingClientRect().height)"
    )
    assert min(heights) >= 32


def test_a_key_is_asked_for_and_kept(browser, serving, toy_bundle, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("correct horse\n".replace(" ", "-"))
    with serving(toy_bundle, api_key_file=keys) as server:
        page = Visit(browser, server.url).page
        dialog = page.get_by_role("dialog", name="API key")
        dialog.get_by_label("Key").fill("wrong")
        dialog.get_by_role("button", name="Use this key").click()
        again = page.get_by_role("dialog", name="That key was not accepted")
        again.get_by_label("Key").fill("correct-horse")
        page.keyboard.press("Enter")
        generate(page)
        page.reload()
        generate(page)
        assert page.get_by_role("dialog").count() == 0
        page.context.close()


def visit_of_another(visit, served, **described):
    """The page of a model that is described otherwise: exporting it would take longer than all of these tests."""
    page = visit(served.url).page

    def answer(route):
        truth = route.fetch()
        route.fulfill(response=truth, json=truth.json() | described)

    page.route("**/v1/model", answer)
    page.reload()
    return page


def test_a_class_among_many_is_found(visit, served):
    page = visit_of_another(visit, served, classes=30, class_names=None)
    expect(page.locator("#classes label:visible")).to_have_count(1 + 24)
    page.get_by_label("Find a class among 30").fill("2")
    expect(page.locator("#classes label:visible")).to_have_count(1 + 12)  # 0 is chosen; 2, 12, 20 … 29
    page.get_by_label("Find a class").press("Enter")
    expect(page.get_by_text("2 of 30 chosen")).to_be_visible()
    page.evaluate("() => { location.hash = '#label=29&label=2'; }")  # those chosen are in sight
    expect(page.get_by_label("29")).to_be_visible()
    page.get_by_label("29").uncheck()
    page.get_by_label("0", exact=True).check()
    expect(generate(page).locator("figcaption b")).to_have_text(["Disc", "Étoile"])


def test_a_model_of_one_size_has_no_other(visit, served):
    page = visit_of_another(visit, served, fixed_size=[8, 8])
    expect(page.get_by_label("Width")).to_be_disabled()
    expect(page.get_by_role("group", name="Usual sizes").get_by_role("button")).to_have_count(1)
    article = generate(page)
    expect(article.get_by_role("link", name="Download")).to_be_visible()
    expect(article.get_by_text("Same seed, new size")).to_have_count(0)
