// Reading values off a chart with pointer or arrow keys; the legend shows them.
(() => {
  "use strict";
  const setUp = (chart) => {
    const plot = chart.querySelector(".plot");
    if (!plot) return;
    const lines = JSON.parse(chart.querySelector('script[type="application/json"]').textContent);
    const values = [...chart.querySelectorAll(".legend b")];
    const latest = values.map((value) => value.textContent);
    const rule = chart.querySelector(".rule");
    const stops = [...new Map(lines.flatMap((line) => line.points.map(([at, step]) => [step, at])))]
      .sort((one, other) => one[0] - other[0]);
    let index = stops.length - 1;

    const nearest = (points, at) => points.reduce(
      (best, point) => (Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best), points[0]);
    const read = (next) => {
      index = Math.min(stops.length - 1, Math.max(0, next));
      const [step, at] = stops[index];
      rule.hidden = false;
      rule.style.left = `${100 * at}%`;
      rule.classList.toggle("leftward", at > 0.6);
      rule.firstElementChild.textContent = `step ${step}`;
      const words = lines.map((line, place) => {
        if (line.points.length === 0) return "";
        const [, , value] = nearest(line.points, at);
        values[place].textContent = value;
        return `${line.label} ${value}`;
      });
      plot.setAttribute("aria-valuenow", step);
      plot.setAttribute("aria-valuetext", `step ${step}: ${words.filter(Boolean).join(", ")}`);
    };
    const leave = () => {
      rule.hidden = true;
      values.forEach((value, place) => { value.textContent = latest[place]; });
    };

    plot.addEventListener("pointermove", (event) => {
      const box = plot.getBoundingClientRect();
      const at = (event.clientX - box.left) / box.width;
      let best = 0;
      stops.forEach((stop, place) => {
        if (Math.abs(stop[1] - at) < Math.abs(stops[best][1] - at)) best = place;
      });
      read(best);
    });
    plot.addEventListener("pointerleave", leave);
    plot.addEventListener("blur", leave);
    plot.addEventListener("keydown", (event) => {
      const big = Math.max(1, Math.round(stops.length / 10));
      const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -big, PageUp: big }[event.key];
      if (step) read(index + step);
      else if (event.key === "Home") read(0);
      else if (event.key === "End") read(stops.length - 1);
      else return;
      event.preventDefault();
    });
  };
  document.querySelectorAll(".chart").forEach(setUp);
})();
