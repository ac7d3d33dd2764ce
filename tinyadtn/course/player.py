"""A player: pictures of a process, one step at a time, with play, step and slider.

The HTML holds its pictures and its script, so it works without a network: in a notebook, in Colab
and on a page of the site. Where scripts do not run, all steps are shown below each other. Where
HTML is not shown, the last step is.
"""

from __future__ import annotations

import html
import io
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any

# Every player on the page that is still a plain list of figures becomes one with controls. A part
# of the page that is shown twice, as in a split view of a notebook, works as well.
_SCRIPT = """
for (const player of document.querySelectorAll(".player:not([data-ready])")) {
  player.dataset.ready = "yes";
  const frames = [...player.querySelectorAll("figure")], last = frames.length - 1;
  const controls = document.createElement("div");
  const part = (tag, text, label) => {
    const made = document.createElement(tag);
    made.textContent = text;
    made.setAttribute("aria-label", label);
    made.style.cssText = "font: inherit; padding: 0.2em 0.7em; margin-right: 0.4em";
    controls.append(made);
    return made;
  };
  const back = part("button", "◀", "one step back"), play = part("button", "Play", "play");
  const next = part("button", "▶", "one step on"), slider = part("input", "", "step");
  const count = part("span", "", "which step");
  Object.assign(slider, {type: "range", min: 0, max: last, value: 0});
  slider.style.cssText += "; vertical-align: middle; width: 6em; padding: 0";
  count.style.whiteSpace = "nowrap";
  let now = 0, timer = null;
  const show = (step) => {
    const left = frames[now].firstChild.scrollLeft;
    now = Math.max(0, Math.min(last, step));
    frames.forEach((frame, k) => { frame.style.display = k === now ? "" : "none"; });
    frames[now].firstChild.scrollLeft = left;
    slider.value = now;
    count.textContent = `${now + 1} of ${last + 1}`;
    back.disabled = now === 0;
    next.disabled = now === last;
  };
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
  const go = (step) => { stop(); show(step); };
  back.onclick = () => go(now - 1);
  next.onclick = () => go(now + 1);
  slider.oninput = () => go(Number(slider.value));
  play.onclick = () => {
    if (timer !== null) { stop(); return; }
    if (now === last) show(0);
    play.textContent = "Stop";
    timer = setInterval(() => { show(now + 1); if (now === last) stop(); }, PAUSE);
  };
  player.prepend(controls);
  show(0);
}
"""
# On a narrow screen a picture shrinks to 60 % and can be moved sideways: its text stays legible.
_STYLE = "width: 100%; max-width: {0}px; min-width: {1}px; height: auto; display: block"


class Player:
    """What ``player`` returns: a notebook shows it. ``draw`` draws the steps again, as figures."""

    def __init__(
        self, draw: Callable[[int], Any], captions: Sequence[str], alt: str, pause: float
    ) -> None:
        self.draw, self.captions, self.alt, self.pause = draw, list(captions), alt, pause
        self.images = [_png(draw(k)) for k in range(len(captions))]

    def html(self) -> str:
        """The pictures with their captions, and the script that adds the controls."""
        figures = []
        for image, caption, description in zip(self.images, self.captions, self._descriptions()):
            source = f"data:image/png;base64,{b64encode(image).decode()}"
            width = int.from_bytes(image[16:20], "big")  # of a PNG, in pixels
            style = _STYLE.format(width, round(0.6 * width))
            figures.append(
                f'<figure style="margin: 0.5em 0"><div style="overflow-x: auto"><img '
                f'style="{style}" src="{source}" alt="{html.escape(description)}"></div>'
                f"<figcaption>{html.escape(caption)}</figcaption></figure>"
            )
        script = _SCRIPT.replace("PAUSE", str(round(1000 * self.pause)))
        return f'<div class="player">{"".join(figures)}</div><script>{{{script}}}</script>'

    def _descriptions(self) -> list[str]:
        steps = len(self.captions)
        return [
            f"{self.alt} Step {k} of {steps}: {caption}"
            for k, caption in enumerate(self.captions, start=1)
        ]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        data = {"text/html": self.html(), "image/png": b64encode(self.images[-1]).decode()}
        return data, {"image/png": {"alt": self._descriptions()[-1]}}


def player(
    draw: Callable[[int], Any], captions: Sequence[str], *, alt: str, pause: float = 1.2
) -> Player:
    """Return a player of the figures ``draw(0)``, ``draw(1)``, …, one for each caption.

    ``draw(k)`` returns a Matplotlib figure; all should have the same size. A caption says in a
    sentence what happens in its step, and ``alt`` what the whole shows, for readers who do not see
    it. Playing shows each step for ``pause`` seconds.

    >>> from tinyadtn.draw.style import new_figure
    >>> film = player(lambda k: new_figure(1, 1, ""), ["It starts.", "It ends."], alt="Nothing.")
    >>> film.html().count("<figure ")
    2
    """
    if not captions:
        raise ValueError("a player needs at least one step: captions is empty")
    return Player(draw, captions, alt, pause)


def _png(figure: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()
