"use strict";
(() => {
  const data = JSON.parse(document.getElementById("listening-data").textContent);
  const place = document.getElementById("listening");
  const rows = [["test", "rater", "scale", "stimulus", "other", "value", "seconds"]];
  let rater = "", order = [], at = 0;

  const element = (tag, attributes = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), attributes);
    made.append(...children);
    return made;
  };

  // The order follows from the rater's name, so that a reload shows the same test.
  const generator = (text) => {
    let state = 2166136261;
    for (const c of text) state = Math.imul(state ^ c.codePointAt(0), 16777619);
    return () => {
      state = Math.imul(state ^ (state >>> 15), 2246822507) + 0x9e3779b9 | 0;
      return ((state ^ (state >>> 13)) >>> 0) / 4294967296;
    };
  };

  const shuffled = (list, random) => {
    const out = list.slice();
    for (let i = out.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [out[i], out[j]] = [out[j], out[i]];
    }
    return out;
  };

  const player = (code, name, state) => {
    const audio = element("audio", { controls: true, src: data.sounds[code] });
    audio.controlsList = "nodownload";
    let last = 0;
    audio.addEventListener("timeupdate", () => {
      const step = audio.currentTime - last;
      last = audio.currentTime;
      if (step > 0 && step < 1) state.seconds += step;
    });
    audio.addEventListener("play", () => {
      document.querySelectorAll("audio").forEach((other) => other !== audio && other.pause());
      state.heard.add(code);
      state.changed();
    });
    return element("div", { className: "sound" }, ...(name ? [element("b", {}, name)] : []), audio);
  };

  const question = (name, words, detail, answers, state) => {
    const choice = ([value, text]) => {
      const input = element("input", { type: "radio", name, value });
      input.addEventListener("change", () => {
        state.answers[name] = value;
        state.changed();
      });
      return element("label", { className: "answer" }, input, element("span", {}, text));
    };
    const legend = element("legend", {}, words, element("small", {}, detail));
    return element("fieldset", {}, legend, ...answers.map(choice));
  };

  const show = () => {
    if (at >= order.length) return finish();
    const trial = order[at];
    const pair = trial.codes.length === 2;
    const next = element("button", { type: "button", disabled: true }, at + 1 < order.length ? "Next" : "Finish");
    const needed = pair ? ["pair"] : data.scales.map(([name]) => name);
    const state = { seconds: 0, heard: new Set(), answers: {} };
    state.changed = () => {
      next.disabled = !trial.codes.every((c) => state.heard.has(c)) || !needed.every((n) => n in state.answers);
    };
    next.addEventListener("click", () => {
      for (const name of needed) {
        const [first, second = ""] = trial.codes;
        rows.push([data.test, rater, name, first, second, state.answers[name], state.seconds.toFixed(1)]);
      }
      at += 1;
      show();
    });
    const sounds = trial.codes.map((code, i) => player(code, pair ? "AB"[i] : "", state));
    const five = [1, 2, 3, 4, 5].map((n) => [String(n), String(n)]);
    const questions = pair
      ? [question("pair", "Which is the better music?", "", [["1", "A"], ["0.5", "no difference"], ["0", "B"]], state)]
      : data.scales.map(([name, words]) => question(name, words, "1 is bad, 5 is excellent", five, state));
    place.replaceChildren(
      element("p", { className: "progress" }, `${at + 1} of ${order.length}`),
      ...sounds,
      ...(trial.instruction ? [element("p", { className: "instruction" }, trial.instruction)] : []),
      ...questions,
      next,
    );
    window.scrollTo(0, 0);
  };

  const finish = () => {
    const cell = (text) => (/[",\n]/.test(text) ? `"${String(text).replaceAll('"', '""')}"` : text);
    const csv = rows.map((row) => row.map(cell).join(",")).join("\n") + "\n";
    const link = element("a", { download: `${data.test}-${rater}.csv`.replace(/[^\w.-]+/g, "-") }, "Save your answers");
    link.href = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
    place.replaceChildren(
      element("p", {}, "Thank you. Save the file and send it to whoever asked you."),
      element("p", {}, link),
    );
    link.click();
  };

  const name = element("input", { type: "text", autocomplete: "off", maxLength: 60 });
  name.setAttribute("aria-label", "Your name or a number");
  const begin = element("button", { type: "button", disabled: true }, "Begin");
  name.addEventListener("input", () => { begin.disabled = !name.value.trim(); });
  begin.addEventListener("click", () => {
    rater = name.value.trim().replace(/\s+/g, " ");
    const random = generator(data.test + "\n" + rater);
    // Which of a pair comes first is drawn too.
    order = shuffled(data.trials, random).map((t) => ({ ...t, codes: random() < 0.5 ? t.codes.slice().reverse() : t.codes }));
    show();
  });
  place.replaceChildren(
    element("p", {}, "You will hear short pieces and say what you think of them. Nothing leaves this page: at the end you save a file."),
    element("p", {}, "Your name, or a number that you were given:"),
    name,
    begin,
  );
})();
