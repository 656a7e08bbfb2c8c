// Starts each playground of the page.

import { unpackPictures } from "./data.js";
import { Widget } from "./widget.js";

const script = document.currentScript.src;
let pictures; // a promise, once somebody has asked for them

// They are in a script of their own, which also loads from the disk, without a server.
function loadPictures() {
  pictures ??= new Promise((resolve, reject) => {
    const loader = document.createElement("script");
    loader.src = new URL("playground-pictures.js", script);
    loader.addEventListener("load", () => resolve(unpackPictures(globalThis.playgroundPictures)));
    loader.addEventListener("error", () => {
      pictures = null;
      reject(
        new Error(
          "The pictures could not be loaded: playground-pictures.js should be beside " +
            "playground.js. Choose other data, or reload the page.",
        ),
      );
    });
    document.head.append(loader);
  });
  return pictures;
}

for (const root of document.querySelectorAll(".playground")) {
  const { experiment, small, home } = root.dataset;
  root.widget = new Widget(root, {
    experiment: experiment ?? null,
    small: small !== undefined,
    loadPictures,
    home,
  });
}
