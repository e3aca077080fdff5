// The copy buttons. Where the clipboard is out of reach the text is selected instead.
(() => {
  "use strict";
  for (const box of document.querySelectorAll(".copyable")) {
    const button = box.querySelector(".copy");
    const text = box.querySelector("code");
    const say = (words) => {
      button.textContent = words;
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    };
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text.textContent);
        say("Copied");
      } catch {
        getSelection().selectAllChildren(text);
        say("Selected");
      }
    });
  }
})();
