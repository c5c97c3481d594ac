"use strict";
// What a program adds to a page that is complete without one: finding, zooming, copying, knowing where one is. Texts are only ever set as texts.
(() => {
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

  // A link to a step opens it.
  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target || target.tagName !== "DETAILS") return;
    const item = target.closest("li");
    if (item && item.hidden) showAll(target.closest("section"));
    target.open = true;
    all(".found").forEach((other) => other.classList.remove("found"));
    target.classList.add("found");
    target.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
    target.querySelector("summary").focus({ preventScroll: true });
  };

  // Steps by text and kind.
  const filters = new Map();
  const showAll = (section) => {
    const filter = section && filters.get(section.querySelector(".filter"));
    if (filter) filter.reset();
  };
  all(".filter").forEach((bar) => {
    const list = document.getElementById(bar.dataset.list);
    const items = Array.from(list.children);
    const section = bar.closest("section");
    const none = section.querySelector(".none");
    const field = bar.querySelector("input");
    const kinds = all("[data-kind]", bar);
    const output = bar.querySelector("output");
    const texts = new Map();
    const textOf = (item) => {
      if (!texts.has(item)) texts.set(item, item.textContent.toLowerCase());
      return texts.get(item);
    };
    const apply = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      const kind = kinds.find((button) => button.getAttribute("aria-pressed") === "true").dataset.kind;
      let shown = 0;
      for (const item of items) {
        const fits = (kind === "all" || item.classList.contains(kind)) && words.every((word) => textOf(item).includes(word));
        item.hidden = !fits;
        if (fits) shown += 1;
      }
      none.hidden = shown > 0;
      output.textContent = shown === items.length ? "" : `${shown} of ${items.length} shown`;
    };
    const press = (pressed) => {
      kinds.forEach((button) => button.setAttribute("aria-pressed", String(button === pressed)));
      apply();
    };
    kinds.forEach((button) => button.addEventListener("click", () => press(button)));
    field.addEventListener("input", apply);
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        field.value = "";
        apply();
      }
    });
    all("[data-all]", bar).forEach((button) => button.addEventListener("click", () => {
      items.filter((item) => !item.hidden).forEach((item) => {
        item.querySelector("details").open = button.dataset.all === "open";
      });
    }));
    filters.set(bar, {
      reset: () => {
        field.value = "";
        press(kinds[0]);
      },
    });
    bar.hidden = false;
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const field = document.querySelector(".filter input");
      if (field) {
        event.preventDefault();
        field.focus();
      }
    }
  });

  // The plan: zoomed and moved by its view box.
  all(".graph").forEach((box) => {
    const svg = box.querySelector("svg");
    const section = box.closest("section");
    const full = svg.viewBox.baseVal;
    const whole = { width: full.width, height: full.height };
    let view = { x: 0, y: 0, width: whole.width };
    let live = false;
    const shape = () => (box.clientHeight || 1) / (box.clientWidth || 1);
    const draw = () => {
      const height = view.width * shape();
      const slack = view.width / 2;
      view.x = Math.min(Math.max(view.x, -slack), whole.width - view.width + slack);
      view.y = Math.min(Math.max(view.y, -height / 2), Math.max(whole.height - height / 2, 0));
      svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${height}`);
    };
    const size = () => {
      const room = Math.min(innerHeight * 0.74, 760);
      box.style.height = `${Math.max(180, Math.min(room, (whole.height + 12) * box.clientWidth / whole.width))}px`;
    };
    const fitWidth = () => {
      view = { x: -6, y: -6, width: whole.width + 12 };
      if (box.clientWidth < 700) view.width = Math.max(420, box.clientWidth * 1.15);
      draw();
    };
    const fitAll = () => {
      const width = Math.max(whole.width + 12, (whole.height + 12) / shape());
      view = { x: (whole.width - width) / 2, y: -6, width };
      if (width > whole.width + 12) view.y = (whole.height - width * shape()) / 2;
      draw();
    };
    const zoom = (factor, x = 0.5, y = 0.5) => {
      const widest = Math.max(whole.width, whole.height / shape()) * 1.5;
      const width = Math.min(Math.max(view.width * factor, 160), widest);
      view.x += (view.width - width) * x;
      view.y += (view.width - width) * shape() * y;
      view.width = width;
      draw();
    };
    const move = (x, y) => {
      view.x += x * view.width;
      view.y += y * view.width;
      draw();
    };
    const place = (event) => {
      const frame = box.getBoundingClientRect();
      return [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
    };
    const actions = { in: () => zoom(1 / 1.4), out: () => zoom(1.4), all: fitAll, width: fitWidth };
    all("[data-zoom]", section).forEach((button) => button.addEventListener("click", () => actions[button.dataset.zoom]()));
    box.addEventListener("wheel", (event) => {
      const mine = event.ctrlKey || event.metaKey || box.contains(document.activeElement);
      if (!mine) return;
      event.preventDefault();
      zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 200), ...place(event));
    }, { passive: false });
    box.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const keys = {
        "+": actions.in, "=": actions.in, "-": actions.out, "0": fitAll,
        ArrowLeft: () => move(-0.1, 0), ArrowRight: () => move(0.1, 0),
        ArrowUp: () => move(0, -0.06), ArrowDown: () => move(0, 0.06),
      };
      if (keys[event.key]) {
        event.preventDefault();
        keys[event.key]();
      }
    });
    let held = null;
    let moved = false;
    box.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      held = { x: event.clientX, y: event.clientY };
      moved = false;
    });
    addEventListener("pointermove", (event) => {
      if (!held) return;
      const x = event.clientX - held.x;
      const y = event.clientY - held.y;
      if (!moved && Math.hypot(x, y) < 5) return;
      moved = true;
      box.classList.add("held");
      move(-x / box.clientWidth, -y / box.clientWidth);
      held = { x: event.clientX, y: event.clientY };
    });
    const release = () => {
      held = null;
      box.classList.remove("held");
    };
    addEventListener("pointerup", release);
    addEventListener("pointercancel", release);
    // A step that was dragged was not clicked.
    box.addEventListener("click", (event) => {
      if (moved) event.preventDefault();
    }, true);
    box.addEventListener("dragstart", (event) => event.preventDefault());
    // A step that gets the focus comes into sight.
    box.addEventListener("focusin", (event) => {
      const rectangle = event.target.closest && event.target.closest(".node")?.querySelector("rect");
      if (!rectangle || !event.target.matches(":focus-visible")) return;
      const [x, y, width, height] = ["x", "y", "width", "height"].map((name) => Number(rectangle.getAttribute(name)));
      const high = view.width * shape();
      if (x < view.x || x + width > view.x + view.width) view.x = x + width / 2 - view.width / 2;
      if (y < view.y || y + height > view.y + high) view.y = y + height / 2 - high / 2;
      box.scrollTo(0, 0);
      draw();
    });
    // What a step waits for, and what waits for it.
    const light = (node) => {
      const number = node && node.dataset.step;
      svg.classList.toggle("pick", Boolean(number) && all(`[data-from="${number}"], [data-to="${number}"]`, svg).length > 0);
      all(".edge", svg).forEach((edge) => edge.classList.toggle("lit", number !== null && (edge.dataset.from === number || edge.dataset.to === number)));
    };
    all(".node", svg).forEach((node) => {
      node.addEventListener("pointerenter", () => light(node));
      node.addEventListener("pointerleave", () => light(null));
      node.addEventListener("focus", () => light(node));
      node.addEventListener("blur", () => light(null));
    });
    const start = () => {
      live = true;
      box.classList.add("live");
      svg.removeAttribute("width");
      svg.removeAttribute("height");
      svg.setAttribute("preserveAspectRatio", "xMinYMin meet");
      all(".tools, .hint", section).forEach((part) => { part.hidden = false; });
      size();
      fitWidth();
    };
    addEventListener("resize", () => {
      size();
      draw();
    });
    addEventListener("beforeprint", () => {
      if (!live) return;
      box.style.height = "auto";
      svg.setAttribute("viewBox", `0 0 ${whole.width} ${whole.height}`);
    });
    addEventListener("afterprint", () => {
      size();
      draw();
    });
    start();
  });

  // Copying.
  const copy = async (text) => {
    if (navigator.clipboard) {
      try {
        await navigator.clipboard.writeText(text);
        return true;
      } catch {
        // Some browsers forbid it to a page from a disk: the old way then.
      }
    }
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "unseen";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  };
  all(".copy").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const done = await copy(button.dataset.copy);
      button.focus();
      button.textContent = done ? "Copied" : "Not copied";
      button.classList.toggle("done", done);
      setTimeout(() => {
        button.textContent = "Copy";
        button.classList.remove("done");
      }, 1600);
    });
  });

  // Where one is.
  const links = new Map(all(".toc a").map((link) => [link.hash.slice(1), link]));
  const places = all("main section").filter((section) => links.has(section.id));
  let wanted = false;
  const mark = () => {
    wanted = false;
    const line = innerHeight * 0.3;
    const end = innerHeight + scrollY >= document.documentElement.scrollHeight - 4;
    const above = places.filter((section) => section.getBoundingClientRect().top <= line);
    const current = end ? places[places.length - 1] : above[above.length - 1] || places[0];
    links.forEach((link, id) => {
      const here = current && id === current.id;
      if (here === link.hasAttribute("aria-current")) return;
      if (here) {
        link.setAttribute("aria-current", "true");
        const bar = link.closest(".toc");
        if (bar.scrollWidth > bar.clientWidth) {
          bar.scrollTo({ left: link.offsetLeft - bar.clientWidth / 3 });
        }
      } else {
        link.removeAttribute("aria-current");
      }
    });
  };
  const soon = () => {
    if (!wanted) {
      wanted = true;
      requestAnimationFrame(mark);
    }
  };
  addEventListener("scroll", soon, { passive: true });
  addEventListener("resize", soon);
  mark();

  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("a[href^='#']");
    // A second click on the same link changes no address.
    if (link && link.getAttribute("href") === location.hash && !event.defaultPrevented) setTimeout(reveal);
  });
  reveal();
})();
