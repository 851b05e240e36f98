"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector) => [...document.querySelectorAll(selector)];

  // ---- languages: both stand in the page, one is shown ----
  const NAMES = { en: "English", ko: "한국어" };
  const remembered = (value) => {
    try { // a page opened from a file may have no storage
      if (value) localStorage.setItem("seqtune-language", value);
      return localStorage.getItem("seqtune-language");
    } catch { return null; }
  };
  const asked = new URLSearchParams(location.search).get("lang") || location.hash.slice(1);
  const speak = (language) => {
    root.lang = language;
    const other = language === "ko" ? "en" : "ko";
    for (const button of all("button.language")) {
      button.hidden = false;
      button.lang = other;
      button.textContent = NAMES[other];
      button.onclick = () => { remembered(other); speak(other); };
    }
  };
  speak([asked, remembered()].find((each) => each in NAMES) || "en");

  // ---- copying ----
  const copied = async (button) => {
    const code = button.closest(".code").querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(code);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      document.execCommand("copy");
    }
    button.classList.add("done");
    const before = button.innerHTML;
    button.textContent = "✓";
    setTimeout(() => { button.innerHTML = before; }, 1200);
  };
  for (const button of all("button.copy")) {
    button.hidden = false;
    button.onclick = () => button.textContent === "✓" || copied(button);
  }

  // ---- contents ----
  const contents = document.querySelector(".contents details");
  if (contents) {
    const wide = matchMedia("(min-width: 74rem)");
    const fit = () => { contents.open = wide.matches; };
    wide.addEventListener("change", fit);
    fit();
    contents.addEventListener("click", (event) => {
      if (event.target.closest("a") && !wide.matches) contents.open = false;
    });
    const links = new Map(all(".contents a").map((link) => [link.hash.slice(1), link]));
    const mark = () => {
      const reached = all("main section").filter((each) => each.getBoundingClientRect().top < 160);
      const here = (reached.pop() || document.querySelector("main section"))?.id;
      for (const [id, link] of links) link.classList.toggle("here", id === here);
    };
    let due = false;
    addEventListener("scroll", () => {
      if (due) return;
      due = true;
      requestAnimationFrame(() => { due = false; mark(); });
    }, { passive: true });
    mark();
  }

  // ---- figures: the library is unpacked once, each is drawn when it is seen ----
  const figures = all("figure.drawn");
  const packed = document.getElementById("plotly");
  const canvas = (figure) => figure.querySelector(".canvas");
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const look = () => ({
    "font.color": colour("--soft"),
    "hoverlabel.bgcolor": colour("--faint"),
    "hoverlabel.font.color": colour("--ink"),
    "hoverlabel.bordercolor": colour("--line"),
  });
  const place = (target, path, value) => {
    const keys = path.split(".");
    const last = keys.pop();
    keys.reduce((inner, key) => (inner[key] ??= {}), target)[last] = value;
  };
  const draw = (figure) => {
    if (figure.dataset.done || !window.Plotly) return;
    figure.dataset.done = "yes";
    const target = canvas(figure);
    try {
      const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
      for (const [path, value] of Object.entries(look())) place(layout, path, value);
      target.replaceChildren();
      Plotly.newPlot(target, data, { ...layout, autosize: true }, {
        displaylogo: false, responsive: true, scrollZoom: false,
        modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
      });
    } catch (error) {
      target.textContent = String(error);
      console.error(error);
    }
  };
  const cannot = () => {
    const words = document.getElementById("no-figures").content;
    for (const figure of figures) {
      canvas(figure).style.minHeight = "0";
      canvas(figure).replaceChildren(words.cloneNode(true));
    }
  };
  const unpack = async () => {
    const bytes = Uint8Array.from(atob(packed.textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    if (!window.Plotly) throw new Error("Plotly did not start");
  };
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
  }, { rootMargin: "400px" });
  const begin = async () => {
    if (!packed || !packed.textContent || !window.DecompressionStream) return cannot();
    try {
      await unpack();
    } catch (error) {
      console.error(error);
      return cannot();
    }
    packed.remove(); // two megabytes that nobody needs any more
    for (const figure of figures) seen.observe(figure); // one in a closed <details> has no area
  };
  if (figures.length) begin();

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const figure of figures) if (figure.dataset.done) Plotly.relayout(canvas(figure), look());
  });

  // ---- print: everything open, everything drawn, at the width of the paper ----
  const PAPER = 640;
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("main details:not([open])");
    for (const each of opened) each.open = true;
    for (const figure of figures) {
      draw(figure);
      if (figure.dataset.done) Plotly.relayout(canvas(figure), { width: PAPER, autosize: false });
    }
  });
  addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
    for (const figure of figures) {
      if (figure.dataset.done) Plotly.relayout(canvas(figure), { width: null, autosize: true });
    }
  });
})();
