// Replace the TeX that Sphinx left in the page by what KaTeX makes of it.
for (const node of document.querySelectorAll(".math")) {
  const source = node.lastChild; // before it stands only the equation's number
  if (source?.nodeType !== Node.TEXT_NODE) continue;
  const display = node.tagName === "DIV";
  const tex = source.data
    .trim()
    .replace(/^\\[([]|\\[)\]]$/g, "")
    // Sphinx numbers equations; KaTeX must not number them again.
    .replace(/\\(begin|end)\{(equation|align|gather)\}/g, "\\$1{$2*}");
  const place = document.createElement("span");
  source.replaceWith(place);
  katex.render(tex, place, { displayMode: display, throwOnError: false });
}
