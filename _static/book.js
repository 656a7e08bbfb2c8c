// What the pages do beyond the theme. Without it they are complete, only quieter.

// A quick question is written so that it reads well in Jupyter too: a paragraph, a
// numbered list, and <details class="quiz" data-answer="2"> with the explanation.
function makeQuiz(details) {
  const list = details.previousElementSibling;
  const question = list.previousElementSibling;
  const quiz = document.createElement("fieldset");
  quiz.className = "quiz";
  const legend = document.createElement("legend");
  legend.append(...question.childNodes);
  quiz.append(legend);
  const name = "quiz-" + document.querySelectorAll("fieldset.quiz").length;
  [...list.children].forEach((item, i) => {
    const label = document.createElement("label");
    const radio = document.createElement("input");
    Object.assign(radio, { type: "radio", name, value: i + 1 });
    const text = document.createElement("span");
    text.append(...(item.querySelector("p") ?? item).childNodes);
    label.append(radio, text);
    quiz.append(label);
  });
  const button = document.createElement("button");
  Object.assign(button, { type: "button", textContent: "Check" });
  const verdict = document.createElement("span");
  verdict.setAttribute("role", "status");
  button.addEventListener("click", () => {
    const chosen = quiz.querySelector("input:checked")?.value;
    const right = chosen === details.dataset.answer;
    verdict.textContent = !chosen
      ? "Choose an answer first."
      : right
        ? "Right."
        : "Not this one. Try again, or read the answer below.";
    if (right) details.open = true;
  });
  quiz.append(button, verdict);
  question.remove();
  list.replaceWith(quiz);
}

function makeFoldable(input) {
  const button = document.createElement("button");
  button.className = "fold-code";
  const set = (folded) => {
    input.classList.toggle("folded", folded);
    button.textContent = folded ? "Show code" : "Fold code";
    button.setAttribute("aria-expanded", !folded);
  };
  button.addEventListener("click", () =>
    set(!input.classList.contains("folded")),
  );
  set(false);
  input.prepend(button);
}

// An experiment inside a chapter (playground/) is loaded once a reader asks for it. Its
// picture, which shows how it ends, is for paper and for browsers without JavaScript.
function makeStart(playground) {
  const button = document.createElement("button");
  button.className = "playground-start";
  button.textContent = `Run the experiment “${playground.dataset.title}” here`;
  const load = (tag, attributes) =>
    new Promise((resolve, reject) => {
      const loader = Object.assign(document.createElement(tag), attributes);
      loader.addEventListener("load", resolve);
      loader.addEventListener("error", reject);
      document.head.append(loader);
    });
  button.addEventListener("click", async () => {
    button.disabled = true;
    const place = `${document.documentElement.dataset.content_root}_static/playground`;
    try {
      await load("link", { rel: "stylesheet", href: `${place}.css` });
      await load("script", { src: `${place}.js` });
      button.remove();
      playground.querySelector("legend").focus();
    } catch {
      button.textContent = "The experiment could not be loaded. Try again";
      button.disabled = false;
    }
  });
  playground.append(button);
  playground.classList.add("live");
}

// What scrolls must be reachable by keyboard.
function makeScrollable(element) {
  const scrolls =
    element.scrollHeight > element.clientHeight + 1 ||
    element.scrollWidth > element.clientWidth + 1;
  if (scrolls) element.tabIndex = 0;
}

// Search results lead to pages; go on to the section that has the words: in its heading,
// side by side, or at least all of them. (Sphinx keeps them here until the page is complete.)
const searched = localStorage.getItem("sphinx_highlight_terms");
function goToFoundSection() {
  if (!searched || location.hash) return;
  const sections = [...document.querySelectorAll("article section[id]")];
  const withAll = (words, part) =>
    sections.filter((section) => {
      const text = part(section)?.textContent.toLowerCase();
      return text && words.every((word) => text.includes(word));
    });
  // Its own: the section around all of a page has the others' headings in it.
  const heading = (section) => section.querySelector(":scope > :is(h2, h3)");
  const innermost = (found) =>
    found.find((one) => !found.some((other) => other !== one && one.contains(other)));
  const words = searched.split(" ");
  const found =
    withAll([searched], heading)[0] ??
    innermost(withAll([searched], (section) => section)) ??
    innermost(withAll(words, (section) => section));
  found?.scrollIntoView();
}

addEventListener("DOMContentLoaded", () => {
  // docutils calls the bibliography a list, but its entries no list items.
  document.querySelectorAll(".citation-list").forEach((list) => {
    list.removeAttribute("role");
  });
  document.querySelectorAll("details.quiz").forEach(makeQuiz);
  document.querySelectorAll(".cell_input").forEach(makeFoldable);
  document.querySelectorAll(".playground[data-small]").forEach(makeStart);
});
addEventListener("load", () => {
  document
    .querySelectorAll(
      "pre, figure, .katex-display, .pst-scrollable-table-container",
    )
    .forEach(makeScrollable);
  goToFoundSection();
});
addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((details) => {
    details.open = true;
  });
});
