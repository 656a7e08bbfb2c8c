"""The playground in a real Chromium: experiments, keyboard, calm, a phone, paper."""

import math
import re
from itertools import pairwise

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

expect.set_options(timeout=60_000)
PAGE = "chapters/play.html"
EMBEDS = {
    "chapters/batch-norm-scratch.html": "fair",
    "chapters/batch-norm-predict.html": "momentum",
}
WIDGET = "document.querySelector('.playground').widget"
# What the widget has trained, for comparison with what it says.
NUMBERS = f"""() => {{
    const {{ experiment, training }} = {WIDGET}
    const {{ options, steps }} = experiment
    const {{ step, latest, records, settings }} = training
    const failed = training.sides.map(side => side.failedAt)
    const classes = training.data.classes
    return {{ options, steps, step, latest, records, settings, failed, classes }}
}}"""
EXPERIMENTS = (
    "rate",
    "batch",
    "momentum",
    "small",
    "sigmoids",
    "large",
    "length",
    "fair",
)


@pytest.fixture
def open_page(site, visit):
    """`open_page("#data=moons")`: the playground's page, without complaints."""
    seen = []

    def open_page(hash="", address=site + PAGE, **options):
        seen.append(visit(address + hash, **options))
        if address != site + PAGE:
            seen[-1].page.locator(".playground-start").click()
        expect(seen[-1].page.locator(".widget .charts figure").first).to_be_visible()
        return seen[-1].page

    yield open_page
    for one in seen:
        assert one.complaints == []
        one.page.close()


@pytest.fixture
def moving_page(open_page):
    """The same, for a reader who has not asked for reduced motion."""

    def moving_page(hash=""):
        page = open_page(hash)
        page.emulate_media(reduced_motion="no-preference")
        expect(page.locator(".buttons .run")).to_have_text("Run")
        return page

    return moving_page


def run_experiment(page, option=0):
    page.locator(".question input").nth(option).check()
    page.locator(".question button").click()
    outcome = page.locator(".said .outcome")
    expect(outcome).to_be_visible()
    return outcome


def percent(share):
    return f"{math.floor(100 * share + 0.5)}%"


def told(numbers, experiment):
    """The right option, and what the sentence has to say, from the run's numbers."""
    layered, plain = (
        numbers["latest"][side]["prediction"]["accuracy"]
        for side in ("with", "without")
    )
    failed = numbers["failed"]
    shown = [
        f"diverged at step {at}" if at else f"gets {percent(share)} right"
        for share, at in zip((layered, plain), failed, strict=True)
    ]
    if experiment == "momentum":
        own = numbers["latest"]["with"]["training"]["accuracy"]
        clear = abs(own - layered) >= 0.03
        start = numbers["settings"]["momentum"] ** numbers["step"]
        words = f"{percent(own)} right in training mode and, with the same weights,"
        words += f" {percent(layered)} in prediction mode"
        return ("Clearly worse" if layered < own else "Clearly better") if clear else (
            "About as good"
        ), [words, f"{percent(start)} of each moving statistic"]
    if experiment == "length":
        lengths = [entry["with"]["lengths"][:-1] for entry in numbers["records"]]
        changes = [
            after - before
            for one, other in pairwise(lengths)
            for before, after in zip(one, other, strict=True)
        ]
        falls = sum(change < 0 for change in changes)
        rises = sum(change > 0 for change in changes)
        option = "It never falls" if not falls else "It never grows"
        return (option if not (falls and rises) else "It grows in some"), [
            f"At {falls or 'none'} of {len(changes)} checks"
        ]
    if experiment == "fair":
        verdict = "no clear difference"
        option = "Neither, clearly"
        if abs(layered - plain) >= 0.03:
            option = f"The one {'with' if layered > plain else 'without'} the layer"
            verdict = f"the layer {'helps' if layered > plain else 'does harm'}"
        return option, [percent(layered), percent(plain), verdict]
    guessing = 1 / numbers["classes"]
    enough = guessing + (1 - guessing) / 5
    learned = (layered or 0) >= enough, (plain or 0) >= enough
    options = {
        (True, True): "Both networks learn",
        (True, False): "Only the one with the layer",
        (False, True): "Only the one without the layer",
        (False, False): "Neither learns",
    }
    return options[learned], [
        f"the one with the layer {shown[0]}",
        f"the one without {shown[1]}",
        f"guessing would get {percent(guessing)} right",
    ]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_ends_in_a_sentence_of_its_run(open_page, book, experiment):
    page = open_page(f"#experiment={experiment}")
    outcome = run_experiment(page)
    numbers = page.evaluate(NUMBERS)
    option, words = told(numbers, experiment)
    said = outcome.inner_text()
    assert numbers["step"] == numbers["steps"]
    assert all(part in said for part in words), f"{words} not in: {said}"
    assert "NaN" not in said and "undefined" not in said
    expected = numbers["options"][0].startswith(option)
    assert said.startswith("As you expected" if expected else "Not what you expected")
    name, _, anchor = outcome.locator("a").get_attribute("href").partition("#")
    explains = (book.html / "chapters" / name).read_text(encoding="utf-8")
    assert f'id="{anchor}"' in explains


def test_all_experiments_are_offered_and_tested(open_page):
    page = open_page()
    buttons = page.locator(".menu button")
    assert buttons.count() == len(EXPERIMENTS)
    for name, button in zip(EXPERIMENTS, buttons.all(), strict=True):
        button.click()
        page.wait_for_function(f"location.hash === '#experiment={name}'")
        expect(button).to_have_attribute("aria-pressed", "true")


def test_the_same_settings_give_the_same_numbers_and_another_seed_others(open_page):
    page = open_page("#experiment=small")
    runs = []
    for _ in range(2):
        run_experiment(page)
        runs.append(page.evaluate(NUMBERS)["records"])
    assert runs[0] == runs[1]
    page.locator(".said button", has_text="another seed").click()
    page.wait_for_function(f"{WIDGET}.settings.seed === 2")
    expect(page.locator(".outcome")).to_be_visible()
    assert "seed=2" in page.url
    assert page.evaluate(NUMBERS)["records"] != runs[0]


def test_an_experiment_asks_for_a_prediction_first(open_page):
    page = open_page("#experiment=large")
    page.locator(".question button").click()
    expect(page.locator(".said")).to_contain_text("Choose what you expect first")
    assert page.evaluate(f"{WIDGET}.training.step") == 0
    page.locator(".question input").last.check()  # "I don't know."
    page.locator(".question button").click()
    outcome = page.locator(".outcome")
    expect(outcome).to_be_visible()
    assert outcome.inner_text().startswith("After")


def test_an_experiment_by_keyboard_alone(open_page):
    page = open_page()
    page.locator(".menu button").nth(3).focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.tagName === 'LEGEND'")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".outcome")).to_contain_text("As you expected.")
    stops = set()
    for _ in range(24):  # and on, through all that can be set, to the tables
        page.keyboard.press("Tab")
        stops.add(page.evaluate("document.activeElement.tagName"))
    assert {"SELECT", "INPUT", "BUTTON", "SUMMARY"} <= stops
    page.locator(".numbers summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".numbers table").first).to_be_visible()


def test_where_motion_is_to_be_reduced_a_press_is_some_steps(open_page):
    page = open_page()
    run = page.locator(".buttons .run")
    expect(run).to_have_text("50 steps")
    for steps in 50, 100:
        run.click()
        expect(page.locator(".said")).to_contain_text(f"Step {steps}.")
        expect(run).to_have_text("50 steps")
    page.locator("button", has_text="One step").click()
    expect(page.locator(".counter")).to_have_text("Step 101")
    page.locator("button", has_text="Reset").click()
    expect(page.locator(".counter")).to_have_text("Step 0")


def test_else_it_runs_until_it_is_paused(moving_page):
    page = moving_page()
    run = page.locator(".buttons .run")
    run.click()
    expect(run).to_have_text("Pause")
    page.wait_for_function(f"{WIDGET}.training.step > 100")
    assert page.locator(".charts svg path").first.get_attribute("d").count("L") > 3
    run.click()
    expect(run).to_have_text("Run")
    expect(page.locator(".said")).to_contain_text("in prediction mode")
    step = page.evaluate(f"{WIDGET}.training.step")
    assert page.locator(".counter").inner_text() == f"Step {step}"


def test_a_run_speaks_rarely(moving_page):
    """Its live region changes at the end, and until then every five seconds."""
    page = moving_page()
    page.locator(".buttons select").select_option("60 steps per second")
    page.evaluate(
        """() => {
            window.changes = 0
            new MutationObserver(() => window.changes++).observe(
                document.querySelector(".said"), {childList: true, subtree: true})
        }"""
    )
    page.locator(".buttons .run").click()
    page.wait_for_function(f"{WIDGET}.training.step >= 60")  # a second or more
    changes, step = page.evaluate(f"[window.changes, {WIDGET}.training.step]")
    page.locator(".buttons .run").click()
    assert changes <= 1 + step / 60 / 5


def test_a_network_that_diverges_is_told_and_the_other_goes_on(open_page):
    page = open_page("#depth=8&initial=large&rate=10&decay=0.1")
    run = page.locator(".buttons .run")
    run.click()
    said = page.locator(".said")
    expect(said).to_contain_text("The network without the layer diverged: at step ")
    expect(said).to_contain_text("Step 50. With the layer: ")
    assert "NaN" not in page.locator(".widget").inner_text()
    curves = page.locator(".charts figure").first.locator("svg path")
    assert curves.first.get_attribute("d").count("L") > 20
    run.click()
    expect(said).to_contain_text("Step 100. With the layer: ")


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_a_run_stops_with_a_sentence_where_both_diverge(open_page, value):
    page = open_page()
    run = page.locator(".buttons .run")
    run.click()
    expect(page.locator(".said")).to_contain_text("Step 50.")
    spoil = f"side => side.net.layers[1].W.fill({value})"
    page.evaluate(f"() => {WIDGET}.training.sides.forEach({spoil})")
    run.click()
    expect(run).to_be_disabled()
    for side in "with", "without":
        words = f"The network {side} the layer diverged: at step 51 its numbers"
        expect(page.locator(".said")).to_contain_text(words)
    assert "NaN" not in page.locator(".widget").inner_text()
    curves = page.locator(".charts figure").first.locator("svg path")
    assert curves.first.get_attribute("d").count("L") > 20  # until then
    page.locator("button", has_text="Reset").click()
    expect(run).to_be_enabled()


def test_the_address_holds_the_settings(open_page):
    page = open_page()
    page.get_by_label("Data").select_option("moons")
    page.get_by_label("Learning rate").select_option("0.3")
    page.get_by_label("Seed").fill("12")
    page.get_by_label("Seed").press("Tab")
    page.wait_for_function("location.hash === '#data=moons&rate=0.3&seed=12'")
    page.evaluate("location.hash = '#depth=2&data=spirals'")
    expect(page.get_by_role("combobox", name="Hidden layers")).to_have_value("2")
    expect(page.get_by_label("Data")).to_have_value("spirals")
    expect(page.get_by_label("Seed")).to_have_value("1")


def test_an_anchor_of_the_page_is_no_setting_and_resets_nothing(open_page):
    page = open_page("#what-you-see")
    assert page.url.endswith("#what-you-see")
    page.locator(".buttons .run").click()
    expect(page.locator(".said")).to_contain_text("Step 50.")
    page.evaluate("location.hash = '#try-it'")
    page.wait_for_function("scrollY < 100")
    expect(page.locator(".counter")).to_have_text("Step 50")


@pytest.mark.parametrize(
    "hash, words",
    [
        ("#depth=99", 'Hidden layers can be 2, 3, 4, 5, 6, 7, 8, but not "99"'),
        ("#experiment=none", 'There is no experiment "none", only rate, batch'),
        ("#seed=-1", "The seed is a whole number from 0 to 999999"),
    ],
)
def test_a_wrong_address_is_told(open_page, hash, words):
    page = open_page(hash)
    expect(page.locator(".said")).to_contain_text(words)


def test_the_tables_have_the_numbers_of_the_run(open_page):
    page = open_page()
    page.locator(".numbers summary").click()
    page.locator(".buttons .run").click()
    now, history = page.locator(".numbers table").all()
    expect(now.locator("caption")).to_have_text("At step 50")
    latest = page.evaluate(f"{WIDGET}.training.latest")
    row = (
        now.locator("tr", has_text="accuracy, prediction mode").inner_text().split("\t")
    )
    shares = [latest[side]["prediction"]["accuracy"] for side in ("with", "without")]
    assert row[1:] == [percent(share) for share in shares]
    rows = history.locator("tbody tr")
    assert rows.count() == page.evaluate(f"{WIDGET}.training.records.length")
    assert rows.last.locator("th").inner_text() == "50"
    label = page.locator(".charts svg").first.get_attribute("aria-label")
    assert f"{percent(shares[0])} in prediction mode" in label


def test_pictures_load_from_the_disk_without_a_server(book, visit):
    seen = visit((book.html / PAGE).as_uri() + "#data=pictures")
    expect(seen.page.locator(".widget figure").first).to_be_visible()
    seen.page.locator(".buttons .run").click()
    expect(seen.page.locator(".said")).to_contain_text("Step 50.")
    assert seen.complaints == []
    seen.page.close()


def test_pictures_that_do_not_load_are_told(site, visit):
    page = visit(site + PAGE).page
    page.route("**/playground-pictures.js*", lambda route: route.abort())
    page.get_by_label("Data").select_option("pictures")
    expect(page.locator(".said")).to_contain_text("The pictures could not be loaded")
    page.get_by_label("Data").select_option("moons")
    expect(page.locator(".buttons .run")).to_be_enabled()
    page.close()


@pytest.mark.parametrize("name, experiment", EMBEDS.items(), ids=EMBEDS.values())
def test_a_chapter_has_an_experiment_of_its_own(site, open_page, name, experiment):
    page = open_page(address=site + name)
    page.wait_for_function("document.activeElement.tagName === 'LEGEND'")
    assert page.locator(".playground .settings").count() == 0
    before = page.url
    said = run_experiment(page).inner_text()
    option, words = told(page.evaluate(NUMBERS), experiment)
    assert all(part in said for part in words), said
    assert page.url == before  # a chapter's address is its own
    link = page.locator(".playground .home a")
    assert link.get_attribute("href") == f"play.html#experiment={experiment}"


def test_a_chapter_s_experiment_that_does_not_load_can_be_tried_again(site, visit):
    page = visit(site + next(iter(EMBEDS))).page
    start = page.locator(".playground-start")
    assert not page.locator(".playground-still img").is_visible()  # it tells the end
    page.route("**/playground.js", lambda route: route.abort())
    start.focus()
    page.keyboard.press("Enter")
    expect(start).to_have_text("The experiment could not be loaded. Try again")
    page.unroute("**/playground.js")
    start.click()
    expect(page.locator(".question legend")).to_be_focused()
    page.close()


@pytest.mark.parametrize("name", [PAGE, *EMBEDS])
def test_axe_finds_nothing_serious_in_what_a_run_shows(site, visit, name):
    page = visit(site + name).page
    if name == PAGE:
        page.locator(".menu button").nth(3).click()
    else:
        page.locator(".playground-start").click()
    run_experiment(page)
    page.locator(".numbers summary").click()
    expect(page.locator(".numbers table").first).to_be_visible()
    serious = []
    for theme in "light", "dark":
        page.emulate_media(color_scheme=theme)
        page.wait_for_function(f"document.documentElement.dataset.theme === '{theme}'")
        found = Axe().run(page, ".playground", {"resultTypes": ["violations"]})
        serious += [
            f"{theme}: {violation['id']}: {node['html'][:200]}"
            for violation in found.response["violations"]
            if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"][:3]
        ]
    assert serious == []
    page.close()


def test_what_a_run_shows_fits_a_phone_and_a_finger(open_page):
    page = open_page("#experiment=small", width=360)
    run_experiment(page)
    page.locator(".numbers summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    small = page.evaluate(
        """[...document.querySelectorAll(".playground :is(button, select)")]
            .filter(one => one.checkVisibility())
            .map(one => [one.textContent, one.getBoundingClientRect().height])
            .filter(([, height]) => height < 32)"""
    )
    assert small == []


def test_without_javascript_there_is_a_picture_and_a_sentence(site, browser):
    page = browser.new_page(java_script_enabled=False)
    page.goto(site + PAGE)
    assert page.locator(".playground-still img").is_visible()
    assert "gets" in page.locator(".playground-still").inner_text()
    assert page.locator(".widget").count() == 0
    page.close()


def test_on_paper_there_is_a_picture_and_a_sentence(open_page):
    page = open_page()
    still = page.locator(".playground-still img")
    assert not still.is_visible()
    page.emulate_media(media="print")
    assert still.is_visible() and not page.locator(".widget").is_visible()


def test_the_picture_for_paper_says_what_it_shows(open_page):
    page = open_page()
    alt = page.locator(".playground-still img").get_attribute("alt")
    assert re.search(r"Three curves .* \d+% right", alt)
