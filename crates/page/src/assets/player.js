// Folds the markup of a player into one stage with one transport.
// The place in time belongs to the player: switching the track or the rendition keeps it.
(() => {
  "use strict";
  const SKIP = 2;

  const clock = (seconds, decimals) => {
    const scale = 10 ** decimals;
    const cut = Math.floor(Math.max(0, seconds) * scale + 1e-6) / scale;
    const minutes = Math.floor(cut / 60);
    const rest = (cut - 60 * minutes).toFixed(decimals);
    return `${minutes}:${rest.padStart(decimals ? 3 + decimals : 2, "0")}`;
  };

  // A data address becomes a blob once it is needed: blobs can be sought in everywhere.
  const load = (audio) => {
    if (audio.dataset.loaded) return;
    const [head, body] = audio.getAttribute("src").split(",", 2);
    const bytes = Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0));
    const type = head.slice("data:".length, head.indexOf(";"));
    audio.dataset.loaded = "yes";
    audio.preload = "auto";
    audio.src = URL.createObjectURL(new Blob([bytes], { type }));
  };

  const setUp = (player) => {
    const find = (selector) => player.querySelector(selector);
    const radios = (kind) => [...player.querySelectorAll(`[data-switch="${kind}"] input`)];
    const tracks = [...player.querySelectorAll(".track")].map((element) => ({
      element,
      renditions: [...element.querySelectorAll(".rendition")].map((figure) => ({
        figure,
        name: figure.dataset.name,
        seconds: Number(figure.dataset.seconds),
        stage: figure.querySelector(".stage"),
        audio: figure.querySelector("audio"),
      })),
      panel: element.querySelector(".words"),
      words: [...element.querySelectorAll(".words [data-start]")].map((span) => ({
        span,
        start: Number(span.dataset.start),
      })),
      sung: 0, // words that have begun
    }));
    const play = find(".play");
    const repeat = find(".repeat");
    const save = find(".save");
    const trouble = find(".trouble");
    let track = null;
    let current = null;
    let wanted = null; // the rendition last asked for, kept across tracks that lack it
    let place = 0; // seconds
    let playing = false;

    const still = matchMedia("(prefers-reduced-motion: reduce)");
    // Lights up the words that have begun; the last of them is the one being sung.
    const sing = () => {
      const { words, panel, sung } = track;
      const next = words.findIndex((word) => word.start > place);
      const begun = next < 0 ? words.length : next;
      if (begun === sung) return;
      track.sung = begun;
      const touched = words.slice(Math.max(0, Math.min(sung, begun) - 1), Math.max(sung, begun));
      for (const word of touched) word.span.className = word.start <= place ? "sung" : "";
      for (const word of touched) word.span.removeAttribute("aria-current");
      if (begun === 0) return;
      const { span } = words[begun - 1];
      span.className = "singing";
      span.setAttribute("aria-current", "true");
      const top = span.offsetTop - panel.clientHeight / 2;
      panel.scrollTo({ top, behavior: still.matches ? "auto" : "smooth" });
    };
    const show = () => {
      sing();
      const share = Math.min(1, place / current.seconds);
      current.stage.style.setProperty("--at", `${100 * share}%`);
      current.stage.setAttribute("aria-valuenow", place.toFixed(2));
      current.stage.setAttribute(
        "aria-valuetext", `${clock(place, 1)} of ${clock(current.seconds, 1)}`);
      find(".now").textContent = clock(place, 1);
      find(".whole").textContent = ` / ${clock(current.seconds, 1)}`;
    };
    const follow = () => {
      if (!playing) return;
      // Until the sound is there, its clock says nothing about the place.
      if (current.audio.readyState > 0 && !current.audio.seeking) place = current.audio.currentTime;
      show();
      requestAnimationFrame(follow);
    };
    const setPlaying = (now) => {
      const before = playing;
      playing = now;
      player.classList.toggle("playing", now);
      play.setAttribute("aria-label", now ? "Pause" : "Play");
      if (now && !before) requestAnimationFrame(follow);
    };
    // Sets the sound's clock, as soon as it has one.
    const placeIn = (audio, seconds) => {
      if (audio.readyState > 0) audio.currentTime = seconds;
      else audio.addEventListener("loadedmetadata", () => { audio.currentTime = place; }, { once: true });
    };
    const seek = (seconds) => {
      place = Math.min(current.seconds, Math.max(0, seconds));
      placeIn(current.audio, place);
      show();
    };
    const start = async () => {
      const { audio } = current;
      if (place >= current.seconds - 0.05) seek(0);
      setPlaying(true);
      try {
        await audio.play();
        trouble.textContent = "";
      } catch (error) {
        if (error.name === "AbortError" || audio !== current.audio) return;
        setPlaying(false);
        trouble.textContent = `This browser cannot play the sound (${error.name}).`;
      }
    };
    const stop = () => {
      current.audio.pause();
      setPlaying(false);
    };
    const toggle = () => (playing ? stop() : start());

    const choose = (nextTrack, name) => {
      const options = nextTrack.renditions;
      const fallback = player.dataset.start === "last" ? options[options.length - 1] : options[0];
      const next = options.find((rendition) => rendition.name === name) ?? fallback;
      if (next === current) return;
      const before = current;
      const focused = before !== null && before.stage === document.activeElement;
      if (before) before.audio.pause();
      track = nextTrack;
      current = next;
      for (const one of tracks) {
        one.element.hidden = one !== track;
        for (const rendition of one.renditions) rendition.figure.hidden = rendition !== current;
      }
      radios("track").forEach((radio, index) => { radio.checked = tracks[index] === track; });
      for (const radio of radios("rendition")) {
        radio.checked = radio.dataset.name === current.name;
        radio.disabled = !options.some((rendition) => rendition.name === radio.dataset.name);
      }
      // All of a track is made ready at once, so that switching does not wait.
      for (const rendition of options) load(rendition.audio);
      current.audio.loop = repeat.getAttribute("aria-pressed") === "true";
      save.href = current.audio.src;
      save.download = current.audio.dataset.file;
      if (focused) current.stage.focus({ preventScroll: true });
      seek(place);
      if (playing) start();
    };

    for (const one of tracks) {
      for (const word of one.words) word.span.addEventListener("click", () => seek(word.start));
      for (const rendition of one.renditions) {
        const { stage, audio } = rendition;
        const scrub = (event) => {
          const box = stage.getBoundingClientRect();
          seek(rendition.seconds * (event.clientX - box.left) / box.width);
        };
        stage.addEventListener("pointerdown", (event) => {
          if (event.button !== 0) return;
          stage.setPointerCapture(event.pointerId);
          scrub(event);
        });
        stage.addEventListener("pointermove", (event) => {
          if (stage.hasPointerCapture(event.pointerId)) scrub(event);
        });
        audio.addEventListener("ended", () => {
          if (rendition !== current) return;
          setPlaying(false);
          place = current.seconds;
          show();
        });
      }
    }

    play.addEventListener("click", toggle);
    repeat.addEventListener("click", () => {
      const on = repeat.getAttribute("aria-pressed") !== "true";
      repeat.setAttribute("aria-pressed", String(on));
      current.audio.loop = on;
    });
    radios("track").forEach((radio, index) => {
      radio.addEventListener("change", () => choose(tracks[index], wanted));
    });
    for (const radio of radios("rendition")) {
      radio.addEventListener("change", () => {
        wanted = radio.dataset.name;
        choose(track, wanted);
      });
    }
    document.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const on = event.target;
      const onStage = on === current.stage;
      // Keys that a focused control understands stay with that control.
      const free = onStage || on === document.body;
      const onRadio = on.matches?.("[data-switch] input");
      const step = { ArrowLeft: -SKIP, ArrowRight: SKIP, ArrowDown: -SKIP, ArrowUp: SKIP }[event.key];
      const vertical = event.key === "ArrowUp" || event.key === "ArrowDown";
      if (event.key === " " && (free || onRadio)) toggle();
      else if (step && (onStage || ((free || on === play) && !vertical))) seek(place + step);
      else if (event.key === "Home" && onStage) seek(0);
      else if (event.key === "End" && onStage) seek(current.seconds);
      else return;
      event.preventDefault();
    });

    for (const [kind, count] of [["track", tracks.length], ["rendition", radios("rendition").length]]) {
      find(`[data-switch="${kind}"]`).hidden = count < 2;
    }
    player.classList.add("ready");
    choose(tracks[0], null);
  };

  document.querySelectorAll(".player").forEach(setUp);
})();
