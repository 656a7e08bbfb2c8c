// The playground in a page: settings, guided experiments, charts, numbers.

import { read, toSeed, write } from "./address.js";
import { Histogram, LinesChart, StepsChart, Surface } from "./charts.js";
import { PLANE } from "./data.js";
import { element } from "./dom.js";
import { EXPERIMENTS, settingsOf } from "./experiments.js";
import { historyTable, numbersTable } from "./tables.js";
import { CHOICES, LARGEST_SEED, LAST_STEP, Training } from "./training.js";
import { LABELS, nameOf, percent, progress, short } from "./words.js";

const BUDGET = 6; // milliseconds of a frame for training
const QUIET_BUDGET = 50; // the same where nothing is drawn meanwhile
const BURST = 50; // steps at a time where motion is to be reduced; divides experiments' steps
const CALM = 5000; // milliseconds between two sentences for screen readers
const LAYER_CHARTS = 5; // the last ones, which show one layer
const SPEEDS = { full: Infinity, "60 steps per second": 60, "10 steps per second": 10 };

const WITH = ["with, in training mode", "with, in prediction mode", "without the layer"];

export class Widget {
  // root: what the widget goes into. experiment: an id, or null; small: whether only this
  // experiment is shown. loadPictures: returns a promise of what unpackPictures returns.
  // home: the address of the page with the whole playground.
  constructor(root, { experiment, small, loadPictures, home }) {
    Object.assign(this, { small, loadPictures, home });
    this.motion = matchMedia("(prefers-reduced-motion: reduce)");
    this.layer = 0;
    this.speed = "full";
    this.running = false;
    this.build();
    root.append(this.root);
    root.classList.add("live");
    this.motion.addEventListener("change", () => this.showState());
    if (small) this.show(read(`experiment=${experiment}`));
    else {
      const asked = isSettings(location.hash) ? location.hash : "";
      this.show(read(asked || (experiment ? `experiment=${experiment}` : "")));
      addEventListener("hashchange", () => {
        const { hash } = location;
        if (isSettings(hash) && hash.slice(1) !== this.address) this.show(read(hash));
      });
    }
  }

  // ---- What is on the page ----

  build() {
    this.question = element("div", { class: "question" });
    this.run = element("button", { type: "button", class: "run", onclick: () => this.toggle() });
    this.one = element("button", { type: "button", onclick: () => this.oneStep() }, "One step");
    this.again = element("button", { type: "button", onclick: () => this.reset() }, "Reset");
    this.counter = element("span", { class: "counter", "aria-hidden": "true" });
    this.status = element("div", { class: "said", role: "status" });
    this.charts = element("div", { class: "charts" });
    const buttons = element("div", { class: "buttons" }, this.run, this.one, this.again);
    if (!this.small) buttons.append(this.makeSpeed());
    buttons.append(this.counter);
    this.root = element("div", { class: "widget" });
    if (!this.small) this.root.append(this.makeMenu());
    this.root.append(this.question);
    if (!this.small) this.root.append(this.makeSettings());
    this.root.append(buttons, this.status, this.charts, this.makeTables());
    if (this.small) this.root.append(this.makeHomeLink());
  }

  makeMenu() {
    this.items = EXPERIMENTS.map((experiment) =>
      element(
        "button",
        { type: "button", onclick: () => this.choose(experiment) },
        experiment.title,
      ),
    );
    return element(
      "div",
      { role: "group", "aria-label": "Guided experiments" },
      element("p", { class: "label" }, "Guided experiments"),
      element("ol", { class: "menu" }, ...this.items.map((item) => element("li", {}, item))),
    );
  }

  makeSettings() {
    this.inputs = {};
    const fields = Object.entries(CHOICES).map(([name, [, choices]]) => {
      const options = choices.map((one) => element("option", { value: one }, nameOf(name, one)));
      const onchange = ({ target }) => this.set(name, choices[target.selectedIndex]);
      this.inputs[name] = element("select", { onchange }, ...options);
      return element("label", {}, element("span", {}, LABELS[name][0]), this.inputs[name]);
    });
    this.inputs.seed = element("input", {
      type: "number",
      min: 0,
      max: LARGEST_SEED,
      step: 1,
      onchange: () => this.setSeed(),
    });
    fields.push(element("label", {}, element("span", {}, LABELS.seed[0]), this.inputs.seed));
    return element(
      "details",
      { open: matchMedia("(min-width: 600px)").matches }, // a phone has no room for them
      element("summary", {}, "Settings"),
      element("div", { class: "settings", role: "group", "aria-label": "Settings" }, ...fields),
    );
  }

  makeSpeed() {
    const options = Object.keys(SPEEDS).map((name) => element("option", {}, name));
    const onchange = ({ target }) => (this.speed = target.value);
    this.speeds = element("label", {}, "Speed ", element("select", { onchange }, ...options));
    return this.speeds;
  }

  makeHomeLink() {
    this.link = element("a", {}, "Open it in the whole playground");
    return element("p", { class: "home" }, this.link);
  }

  makeTables() {
    this.tables = element("div");
    const ontoggle = () => this.fillTables();
    const summary = element("summary", {}, "The numbers as tables");
    this.details = element("details", { class: "numbers", ontoggle }, summary, this.tables);
    return this.details;
  }

  // The charts for the current settings, each as {chart, draw, words}.
  makeCharts() {
    const modes = (what) => ({
      "with-training": (entry) => entry.with.training[what],
      "with-prediction": (entry) => entry.with.prediction[what],
      without: (entry) => entry.without.prediction[what],
    });
    const overSteps = (title, options, words) => {
      const chart = new StepsChart(title, options);
      return { chart, legend: WITH, draw: () => chart.draw(this.training.records), words };
    };
    const inModes = (what, told) => () => {
      const { with: layered, without } = this.training.latest;
      return (
        `With the layer ${told(layered.training[what])} in training mode and ` +
        `${told(layered.prediction[what])} in prediction mode, without ` +
        `${told(without.prediction[what])}.`
      );
    };
    const panels = [
      overSteps(
        "Accuracy on the test set",
        { fixed: [0, 1], series: modes("accuracy") },
        inModes("accuracy", (share) => (share >= 0 ? percent(share) : "nothing any more")),
      ),
      overSteps(
        "Loss on the test set",
        { log: true, series: modes("loss") },
        inModes("loss", short),
      ),
    ];
    if (!this.small) {
      if (PLANE.includes(this.settings.data)) panels.push(...this.makeSurfaces());
      panels.push(this.makeGradients(), ...this.makeLayerCharts());
    }
    this.panels = panels;
    this.next = 0;
    for (const { chart, legend } of panels) {
      if (legend) chart.heading.after(makeLegend(chart, legend));
    }
    const roots = panels.map(({ chart }) => chart.root);
    if (!this.small) roots.splice(-LAYER_CHARTS, 0, this.makeLayerChoice());
    this.charts.replaceChildren(...roots);
  }

  makeSurfaces() {
    return this.training.sides.map((side) => {
      const chart = new Surface(side.net.normalize ? "Decisions, with" : "Decisions, without");
      return {
        chart,
        draw: (until) => chart.draw(side.net, this.training.data.test, until),
        words: () =>
          "In prediction mode, dark blue where the network names class 0 (rings), light orange " +
          "where it names class 1 (crosses), white where it is not sure.",
      };
    });
  }

  makeGradients() {
    const chart = new LinesChart("Gradient's length, layer by layer", {
      xLabel: "layer",
      log: true,
      series: ["with", "without"],
    });
    const lengths = () => {
      const { with: layered, without } = this.training.latest;
      return { with: layered.gradients, without: without.gradients };
    };
    return {
      chart,
      legend: ["with the layer", "without the layer"],
      draw: () => chart.draw(1, lengths()),
      words: () => {
        const [layered, without] = Object.values(lengths()).map((all) => all.map(short).join(", "));
        return `With the layer, from layer 1 on: ${layered}. Without: ${without}.`;
      },
    };
  }

  makeLayerChoice() {
    const options = Array.from({ length: this.settings.depth }, (_, i) =>
      element("option", { value: i, selected: i === this.layer }, String(i + 1)),
    );
    const onchange = ({ target }) => {
      this.layer = target.selectedIndex;
      if (this.training) this.drawAll();
    };
    const select = element("select", { onchange }, ...options);
    return element("label", { class: "layer" }, "Hidden layer shown below ", select);
  }

  makeLayerCharts() {
    const values = (side) => {
      const { rows, layers } = side.trace;
      const { z, y, mean } = layers[this.layer];
      const size = (z.length / this.settings.batch) * rows;
      const [input, output] = [z, y].map((all) => all.subarray(0, size));
      return mean ? { output, input } : { without: input };
    };
    const histogram = (side, title, legend) => {
      const chart = new Histogram(title, {
        xLabel: "values of the last batch",
        series: side.net.normalize ? ["output", "input"] : ["without"],
      });
      return {
        chart,
        legend,
        draw: () => chart.draw(values(side)),
        words: () => (side.trace.rows ? spreads(values(side)) : "No batch yet."),
      };
    };
    const statistics = (title, batch, moving) => {
      const series = ["batch", "moving"];
      const chart = new LinesChart(title, { xLabel: "steps", series });
      const lines = () => {
        const recent = this.training.layered.recent.map((layers) => layers[this.layer]);
        return { batch: recent.map((one) => one[batch]), moving: recent.map((one) => one[moving]) };
      };
      return {
        chart,
        legend: ["of the batch", "moving"],
        draw: () => {
          const { step, layered } = this.training;
          chart.draw(Math.max(1, step - layered.recent.length + 1), lines());
        },
        words: () => {
          const last = Object.values(lines()).map((list) => short(list.at(-1)));
          return `Of the layer's first feature: ${last[0]} in the last batch, ${last[1]} moving.`;
        },
      };
    };
    const lengths = (entry, side) => entry[side].lengths[this.layer];
    const length = new StepsChart("Length of the layer's weights", {
      series: {
        with: (entry) => lengths(entry, "with"),
        without: (entry) => lengths(entry, "without"),
      },
    });
    const { layered, plain } = this.training;
    return [
      histogram(layered, "With: into and out of the normalization", ["out", "in"]),
      histogram(plain, "Without: what goes on as it is", ["from the dense layer"]),
      statistics("Mean of the first feature", "mean", "movingMean"),
      statistics("Variance of the first feature", "variance", "movingVariance"),
      {
        chart: length,
        legend: ["with the layer", "without the layer"],
        draw: () => length.draw(this.training.records),
        words: () => {
          const now = ["with", "without"].map((side) => short(lengths(this.training.latest, side)));
          return `With the layer ${now[0]}, without ${now[1]}.`;
        },
      },
    ];
  }

  // ---- What is set ----

  // Sets the scene that an address asks for.
  show({ settings, experiment, complaint }) {
    this.settings = settings;
    this.experiment = experiment;
    this.showQuestion();
    this.showSettings();
    return this.reset(complaint);
  }

  choose(experiment) {
    this.show({ settings: settingsOf(experiment), experiment });
    this.question.querySelector("legend").focus();
  }

  set(name, value) {
    const left = this.experiment && name !== "seed";
    if (left) this.experiment = null;
    this.settings = { ...this.settings, [name]: value };
    if (left) this.showQuestion();
    this.showSettings();
    return this.reset();
  }

  setSeed() {
    const seed = toSeed(this.inputs.seed.value);
    if (seed !== null) this.set("seed", seed);
    else {
      this.inputs.seed.value = this.settings.seed;
      this.say(`A seed is a whole number from 0 to ${LARGEST_SEED}.`);
    }
  }

  showSettings() {
    this.layer = Math.min(this.layer, this.settings.depth - 1);
    this.address = write(this.settings, this.experiment);
    if (this.small) {
      this.link.href = `${this.home}#${this.address}`;
      return;
    }
    for (const [name, input] of Object.entries(this.inputs)) input.value = this.settings[name];
    this.items.forEach((item, i) =>
      item.setAttribute("aria-pressed", String(EXPERIMENTS[i] === this.experiment)),
    );
    const { hash } = location;
    if (hash.slice(1) !== this.address && (this.address || isSettings(hash))) {
      const { pathname, search } = location;
      const place = this.address ? `#${this.address}` : pathname + search;
      history.replaceState(null, "", place);
    }
  }

  showQuestion() {
    const { experiment } = this;
    this.expected = null;
    if (!experiment) {
      this.question.replaceChildren();
      return;
    }
    const name = `playground-${experiment.id}${this.small ? "-small" : ""}`;
    const options = [...experiment.options, "I don't know."].map((words, value) => {
      const onchange = () => (this.expected = value);
      return element(
        "label",
        {},
        element("input", { type: "radio", name, value, onchange }),
        words,
      );
    });
    const start = { type: "button", class: "run", onclick: () => this.runExperiment() };
    this.question.replaceChildren(
      element(
        "fieldset",
        {},
        element("legend", { tabindex: "-1" }, `What do you expect? ${experiment.question}`),
        element("p", {}, `${experiment.scene} ${experiment.steps} steps.`),
        ...options,
        element("button", start, "Run the experiment"),
      ),
    );
  }

  // ---- What happens ----

  // A new run from step 0. `complaint`: what to say besides.
  async reset(complaint) {
    this.stop();
    const wanted = this.settings;
    this.training = null;
    this.showState();
    let pictures;
    if (!PLANE.includes(wanted.data)) {
      this.say("Loading 2,000 pictures …");
      try {
        pictures = await this.loadPictures();
      } catch (error) {
        if (wanted === this.settings) this.say(error.message);
        return;
      }
      if (wanted !== this.settings) return; // something else has been chosen meanwhile
    }
    this.training = new Training(wanted, pictures);
    this.makeCharts();
    this.drawAll();
    this.say(typeof complaint === "string" ? complaint : "");
    this.showState();
  }

  // Where a run stops by itself: at the end of the experiment, if it is not there yet.
  get goal() {
    const { experiment, training } = this;
    return experiment && training.step < experiment.steps ? experiment.steps : LAST_STEP;
  }

  async runExperiment() {
    if (this.expected === null) {
      this.say("Choose what you expect first; “I don't know” will do.");
      return;
    }
    if (!this.training || this.training.step > 0) await this.reset();
    if (this.training) this.start(this.goal);
  }

  toggle() {
    if (this.running) this.stop();
    else if (this.asks) this.runExperiment();
    else this.start(this.motion.matches ? this.training.step + BURST : LAST_STEP);
  }

  // Whether an experiment is about to begin.
  get asks() {
    return this.experiment && this.training?.step === 0;
  }

  // Trains to step `end` or to the goal, whichever comes first. Where motion is to be
  // reduced, nothing is shown until then.
  start(end) {
    if (!this.training || this.training.finished) return;
    this.running = true;
    this.showState();
    this.end = Math.min(end, this.goal);
    this.credit = 0;
    this.budget = BUDGET;
    this.time = this.said = performance.now();
    const quiet = this.motion.matches;
    if (quiet) this.say("Computing …");
    this.request = requestAnimationFrame(() => this.frame(quiet));
  }

  stop() {
    cancelAnimationFrame(this.request);
    if (!this.running) return;
    this.running = false;
    this.training.record();
    this.drawAll();
    this.say(progress(this.training));
    this.showState();
  }

  frame(quiet) {
    const { training } = this;
    const now = performance.now();
    const passed = now - this.time;
    this.time = now;
    // A slow machine gets fewer steps per frame, and not fewer frames.
    this.budget =
      passed > 20 ? Math.max(2, this.budget * 0.8) : Math.min(BUDGET, this.budget + 0.5);
    const limit = quiet ? Infinity : SPEEDS[this.speed];
    this.credit = Math.min(this.credit + (passed / 1000) * limit, limit);
    const isOver = () => training.finished || training.step >= this.end;
    const deadline = now + (quiet ? QUIET_BUDGET : this.budget);
    while (!isOver() && this.credit >= 1 && performance.now() < deadline) {
      training.advance();
      this.credit -= 1;
    }
    if (isOver()) {
      this.stop();
      this.conclude();
      return;
    }
    if (!quiet) this.drawSome(now);
    this.request = requestAnimationFrame(() => this.frame(quiet));
  }

  oneStep() {
    if (!this.training) return;
    this.stop();
    this.training.advance();
    this.training.record();
    this.drawAll();
    this.say(progress(this.training));
    this.conclude();
    this.showState();
  }

  // Says what an experiment has shown, once it is at its end.
  conclude() {
    const { training, experiment, expected } = this;
    if (!experiment || !(training.step === experiment.steps || training.finished)) return;
    const { answer, sentence } = experiment.outcome(training);
    const verdict =
      answer === null || expected === null || expected === experiment.options.length
        ? ""
        : expected === answer
          ? "As you expected. "
          : "Not what you expected. ";
    const link = { href: `${experiment.chapter}.html#${experiment.section}` };
    const again = { type: "button", onclick: () => this.anotherSeed() };
    this.status.replaceChildren(
      element(
        "p",
        { class: "outcome" },
        element("strong", {}, verdict),
        element("span", {}, sentence),
        " The book explains it: ",
        element("a", link, experiment.place),
        ".",
      ),
      element("p", {}, "This was one run. ", element("button", again, "Run it from another seed")),
    );
    this.status.scrollIntoView({ block: "nearest" }); // on a phone it may be below
  }

  async anotherSeed() {
    await this.set("seed", (this.settings.seed + 1) % LARGEST_SEED);
    this.runExperiment(); // with what is expected as it was
  }

  // ---- What is shown of it ----

  say(words) {
    this.status.replaceChildren(words ? element("p", {}, words) : "");
  }

  showState() {
    const { training, running } = this;
    const finished = training?.finished ?? false;
    const burst = this.motion.matches;
    this.run.textContent = running ? "Pause" : burst && !this.asks ? `${BURST} steps` : "Run";
    this.run.disabled = this.one.disabled = !training || finished;
    this.counter.textContent = training ? `Step ${training.step}` : "";
    if (this.speeds) this.speeds.hidden = burst;
  }

  // One chart per frame, in turn: the eye can't follow more, and the frame stays short.
  drawSome(now) {
    this.counter.textContent = `Step ${this.training.step}`;
    this.panels[this.next].draw(performance.now() + BUDGET / 4);
    this.next = (this.next + 1) % this.panels.length;
    if (now - this.said > CALM) {
      this.said = now;
      this.say(progress(this.training));
      this.tellAll();
    }
  }

  drawAll() {
    for (const panel of this.panels) panel.draw();
    this.counter.textContent = `Step ${this.training.step}`;
    this.tellAll();
  }

  tellAll() {
    for (const { chart, words } of this.panels) chart.tell(words());
    this.fillTables();
  }

  fillTables() {
    if (!this.details.open || !this.training) return;
    this.tables.replaceChildren(numbersTable(this.training), historyTable(this.training));
  }
}

// Else it is the anchor of a section of the page.
const isSettings = (hash) => hash === "" || hash.includes("=");

// The names of a chart's lines, each beside a piece of its line.
function makeLegend(chart, names) {
  const lines = Object.keys(chart.paths);
  return element(
    "p",
    { class: "legend" },
    ...names.map((name, i) => {
      const sample = element("span", { class: `sample ${lines[i]}`, "aria-hidden": "true" });
      return element("span", {}, sample, name);
    }),
  );
}

const PLACES = {
  output: "out of the normalization",
  input: "into it",
  without: "from the dense layer",
};

// Mean and deviation of each of these, in words.
function spreads(values) {
  return Object.entries(values)
    .map(([name, list]) => {
      const mean = list.reduce((sum, value) => sum + value, 0) / list.length;
      const square = list.reduce((sum, value) => sum + (value - mean) ** 2, 0) / list.length;
      return `${PLACES[name]}: mean ${short(mean)}, deviation ${short(Math.sqrt(square))}`;
    })
    .join("; ");
}
